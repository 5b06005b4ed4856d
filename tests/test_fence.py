"""The fence: a process that thaws after another has taken over its job writes nothing more."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.job.job import make_job
from backend.run.events import StepDone
from backend.run.fence import TakenOverError
from backend.run.folder import JobFolder
from tests.small import MESH

ROOT = Path(__file__).parents[1]
RECIPE = {
    "steps": 400,
    "views": 1,
    "splats": {"initial_count": 400, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 5,
}
JOB = make_job({"prompt": "a red apple", "objective": "sds", "recipe": RECIPE})


def resumed(folder):
    command = [sys.executable, "-m", "backend", "generate", "--resume", "--job", folder / "job.json", "--out", folder]
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)


def steps(folder):
    lines = (
        (folder / "events.jsonl").read_text().splitlines(keepends=True) if (folder / "events.jsonl").exists() else []
    )
    return [json.loads(line)["step"] for line in lines if line.endswith("\n") and '"progress"' in line]


def frozen_after(process, folder, step):
    """Stop the process, as a machine that falls asleep does, once it has logged a step after this one."""
    while not (logged := steps(folder)) or logged[-1] <= step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    return steps(folder)


def thawed(process):
    """What the older process says when it goes on."""
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2, said
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_thawed_process_ends_and_does_not_write_beside_its_successor(tmp_path):
    folder = tmp_path / "out"
    JobFolder(folder).begin(JOB)
    first = resumed(folder)
    before = frozen_after(first, folder, 10)
    second = resumed(folder)
    between = frozen_after(second, folder, before[-1] + 5)
    asleep = contents(folder)
    said = thawed(first)
    assert said == (f"{folder}: another process has taken over this job, so this one stops and writes nothing more.")
    assert contents(folder) == asleep
    second.send_signal(signal.SIGCONT)
    after = frozen_after(second, folder, between[-1] + 5)
    taken = after[len(before) :]
    assert taken == list(range(taken[0], taken[-1] + 1))  # one writer, which went on from a checkpoint
    assert before[-1] - 5 <= taken[0] - 1 <= before[-1]
    second.kill()
    second.communicate()


@pytest.fixture
def old(tmp_path):
    folder = JobFolder(tmp_path / "out")
    folder.begin(JOB)
    folder.log(StepDone(1, 10, 0.0))
    return folder


def successor(folder):
    new = JobFolder(folder.path)
    new.take()
    return new


def test_what_was_begun_before_cannot_be_put_in_place_afterwards(old):
    """As if the process had been frozen after its file was written, or between the last check and the rename."""
    unfinished = old.replacing("splats.ply")
    file = unfinished.__enter__()
    file.write_text("old")
    new = successor(old)
    assert not file.exists()
    with pytest.raises(TakenOverError):
        unfinished.__exit__(None, None, None)
    with new.replacing("splats.ply") as file:
        file.write_text("new")
    assert (old / "splats.ply").read_text() == "new"
    assert not [path.name for path in old.path.iterdir() if path.name.startswith(".")]


def test_a_line_that_was_begun_before_is_not_in_the_log(old):
    with (old / "events.jsonl").open("a") as opened:  # and checked, and then the process was frozen
        new = successor(old)
        opened.write('{"late": true}\n')
    new.log(StepDone(2, 10, 0.0))
    with pytest.raises(TakenOverError):
        old.log(StepDone(2, 10, 0.0))
    assert [row["step"] for row in map(json.loads, (old / "events.jsonl").read_text().splitlines())] == [1, 2]


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: folder.save({}),
        lambda folder: folder.write_metrics({}),
        lambda folder: folder.write_start({}),
        lambda folder: folder.write_diverged("no"),
        lambda folder: folder.remove_derived(),
        lambda folder: folder.begin(JOB),
        lambda folder: folder.take(),
    ],
)
def test_every_write_is_refused(old, write):
    new = successor(old)
    new.write_metrics({"steps": 1})
    before = contents(old.path)
    with pytest.raises(TakenOverError):
        write(old)
    assert contents(old.path) == before


def test_a_process_that_was_frozen_before_it_wrote_anything_does_not_take_over(tmp_path):
    late = JobFolder(tmp_path / "out")
    JobFolder(tmp_path / "out").begin(JOB)
    before = contents(late.path)
    with pytest.raises(TakenOverError):
        late.begin(make_job({"prompt": "a cup"}))
    assert contents(late.path) == before


def test_what_a_killed_process_left_is_cleared_and_nothing_else(old):
    left, others = (".splats-0123abcd.ply", "..mesh-0123abcd-0123abcd.glb"), (".state-0123abcd.json", ".notes.txt")
    for name in (*left, *others):
        (old / name).write_text("x")
    with (old / "events.jsonl").open("a") as log:
        log.write('{"event": "prog')
    successor(old)
    assert [name for name in (*left, *others) if (old / name).exists()] == list(others)
    assert (old / "events.jsonl").read_text().count("\n") == 1
    assert os.path.getsize(old / "events.jsonl") == (old / "events.jsonl").read_text().index("\n") + 1
