"""`generate --resume`, as a farm runs it: processes that are killed at every stage, and repeated until all is there."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.cli.main import main
from backend.run.folder import JobFolder
from tests.small import MESH

ROOT = Path(__file__).parents[1]
RECIPE = {
    "steps": 12,
    "views": 1,
    "splats": {"initial_count": 400, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 2,
}
JOB = {"prompt": "a red apple", "objective": "sds", "recipe": RECIPE}
RESULTS = ("splats.ply", "turntable.png", "turntable.webp", "mesh.glb")


def started(tmp_path, job, out, *options, cwd="/"):
    """The command in a process of its own, from a folder that is not ours."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job))
    command = [sys.executable, str(ROOT / "backend"), "generate", "--resume", "--job", file, "--out", out, *options]
    return subprocess.Popen(list(map(str, command)), cwd=cwd, stderr=subprocess.PIPE, text=True)


def killed_when(process, reached):
    """Kill -9 once `reached` is true."""
    while not reached():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def finished(process):
    """What it said, once it has ended well."""
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def steps_of(out, event="progress"):
    file = out / "events.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("\n") and f'"{event}"' in line]


def test_killed_at_every_stage_and_repeated_gives_the_same_bytes(tmp_path):
    job, out, straight = {**JOB, "start": "draft"}, tmp_path / "killed", tmp_path / "straight"
    said = finished(started(tmp_path, job, straight))
    assert "sds: step 12 of 12" in said
    assert "draft: step 200 of 200" in said
    assert "made: mesh.glb" in said
    stages = (
        (out / "job.json").exists,  # before there is a checkpoint
        lambda: len(steps_of(out, "draft")) > 30,
        lambda: len(steps_of(out)) > 4,
        (out / "turntable.webp").exists,  # between two results
    )
    for reached in stages:
        killed_when(started(tmp_path, job, out), reached)
    assert not (out / "metrics.json").exists()
    finished(started(tmp_path, job, out))
    for name in RESULTS:
        assert (out / name).read_bytes() == (straight / name).read_bytes(), name
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (out, straight))
    assert (one["steps"], one["prior_calls"]) == (other["steps"], other["prior_calls"])
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]  # what the killed had begun to write


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A job file, and the folder of its finished run."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "job.json").write_text(json.dumps({**JOB, "recipe": {**RECIPE, "steps": 3}}))
    assert main(["generate", "--resume", "--job", str(folder / "job.json"), "--out", str(folder / "out")]) == 0
    return folder


def resumed(whole, out, *options):
    return main(["generate", "--resume", "--job", str(whole / "job.json"), "--out", str(out), *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_where_all_is_there_nothing_is_touched(whole, capsys):
    before = contents(whole / "out")
    assert resumed(whole, whole / "out") == 0
    assert "Everything is there already" in capsys.readouterr().err
    assert contents(whole / "out") == before


@pytest.mark.parametrize("lost", ["splats.ply", "mesh.glb"])
def test_a_missing_result_is_made_again(whole, tmp_path, lost):
    out = shutil.copytree(whole / "out", tmp_path / "out")
    (out / lost).unlink()
    assert resumed(whole, out) == 0
    assert (out / lost).read_bytes() == (whole / "out" / lost).read_bytes()


def test_another_job_in_the_folder_is_refused_by_the_setting_that_differs(whole, capsys):
    before = contents(whole / "out")
    assert resumed(whole, whole / "out", "--seed", "7") == 2
    assert "seed is 0 there, not 7" in capsys.readouterr().err
    assert resumed(whole, whole / "out", "--steps", "9") == 2
    assert "recipe.steps is 3 there, not 9" in capsys.readouterr().err
    assert contents(whole / "out") == before


def test_a_folder_of_other_things(whole, tmp_path, capsys):
    """A farm's log beside the results is no reason to stop; results of which no job is known are."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "splats.ply").write_text("mine")
    assert resumed(whole, out) == 2
    assert "splats.ply but no job.json" in capsys.readouterr().err
    (out / "splats.ply").rename(out / "slurm-17.out")
    assert resumed(whole, out) == 0
    assert (out / "slurm-17.out").read_text() == "mine"
    assert main(["generate", "--resume", "--overwrite", "--prompt", "a cup", "--out", str(out)]) == 2
    assert main(["generate", "--resume", "--continue", str(out)]) == 2


def test_a_run_that_diverges_ends_well_and_is_not_tried_again(whole, tmp_path, capsys):
    """Its checkpoint has colours that are so large that every step's gradient is infinite."""
    out = shutil.copytree(whole / "out", tmp_path / "out")
    (out / "metrics.json").unlink()
    state = load_file(out / "checkpoint.safetensors")
    colours = {"scene.splats.sh0": state["scene.splats.sh0"] + 3e38}
    save_file(state | colours | {"step": torch.tensor(1)}, out / "checkpoint.safetensors")
    assert resumed(whole, out) == 0
    assert "became infinite or NaN" in capsys.readouterr().err
    assert JobFolder(out).diverged().startswith("Step 1: ")
    before = contents(out)
    assert resumed(whole, out) == 0
    assert "try another seed" in capsys.readouterr().err
    assert contents(out) == before
