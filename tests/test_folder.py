"""A job's folder: refused when used, whole files only, damage reported in one sentence."""

import json

import numpy as np
import pytest
import torch

from backend.job.job import JobError, make_job
from backend.run.events import Preview, StepDone, Warning
from backend.run.folder import JobFolder

JOB = make_job({"prompt": "a red cup"})


@pytest.fixture
def folder(tmp_path):
    folder = JobFolder(tmp_path / "out")
    folder.begin(JOB)
    return folder


def test_used_folders_are_refused_without_overwrite(folder, tmp_path):
    with pytest.raises(JobError, match=r"out: .* is not empty"):
        folder.refuse_if_used(overwrite=False)
    folder.refuse_if_used(overwrite=True)
    (tmp_path / "empty").mkdir()
    JobFolder(tmp_path / "empty").refuse_if_used(overwrite=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="is a file"):
        JobFolder(tmp_path / "file").refuse_if_used(overwrite=True)


def test_begin_removes_our_files_and_no_others(folder):
    for name in ("splats.ply", "metrics.json", "notes.txt"):
        (folder / name).write_text("old")
    folder.begin(JOB)
    assert sorted(path.name for path in folder.path.iterdir()) == ["job.json", "notes.txt", "writer.json"]
    assert folder.job() == JOB


def test_events_are_logged_one_a_line(folder):
    folder.log(StepDone(1, 10, 3.5, {"t": 500.0}))
    folder.log(Preview(1, np.zeros((2, 2, 3), np.uint8)))
    folder.log(Warning("mind the gap"))
    rows = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [row["event"] for row in rows] == ["progress", "warning"]
    assert rows[0]["metrics"] == {"t": 500.0}
    assert rows[1]["text"] == "mind the gap"


def test_checkpoints_round_trip(folder):
    state = {"a": torch.randn(3, 4).t(), "step": torch.tensor(7), "rng": torch.arange(9, dtype=torch.uint8)}
    folder.save(state)
    loaded = folder.load()
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_damaged_checkpoints_are_reported(folder):
    with pytest.raises(JobError, match="does not exist"):
        folder.load()
    folder.save({"scene.means": torch.randn(1000)})
    file = folder / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(JobError, match="damaged"):
        folder.load()
    folder.save({"scene.means": torch.tensor([1.0, torch.nan])})
    with pytest.raises(JobError, match=r"NaN .* scene\.means"):
        folder.load()


def test_only_a_jobs_folder_can_be_continued(tmp_path):
    with pytest.raises(JobError, match=r"no job\.json"):
        JobFolder(tmp_path).job()
