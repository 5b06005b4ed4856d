"""The command line as a person uses it: a whole small job, bad input, Ctrl-C and --continue."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.torch import load_file, save_file

from backend.cli.job_fields import job_fields
from backend.cli.main import main
from backend.cli.options import build_parser
from backend.scenes.ply import read_ply
from tests.small import MESH

ROOT = Path(__file__).parents[1]
SMALL = {
    "recipe": {
        "views": 1,
        "splats": {"initial_count": 400, "growth": "none"},
        "mesh": MESH,
        "checkpoint_every": 2,
    }
}


@pytest.fixture
def job(tmp_path):
    """A job file with a recipe that is quick."""
    file = tmp_path / "small.json"
    file.write_text(json.dumps(SMALL))
    return str(file)


def run(*arguments):
    return main(["generate", *map(str, arguments)])


def test_a_whole_job_leaves_every_file(tmp_path, job, capsys):
    cube = trimesh.creation.box((0.8, 0.6, 1.0))
    cube.visual.vertex_colors = [200, 30, 30, 255]
    cube.apply_translation((3, 0, 0))
    cube.export(tmp_path / "cube.ply")
    out = tmp_path / "out"
    options = [
        "--prompt",
        "a red box with a flurble",
        "--objective",
        "vdm",
        "--steps",
        3,
        "--init-mesh",
        tmp_path / "cube.ply",
    ]
    assert run("--job", job, *options, "--out", out) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"job.json", "events.jsonl", "checkpoint.safetensors", "history.safetensors", "splats.ply",
                     "mesh.glb", "turntable.png", "turntable.webp", "metrics.json", "writer.json"}  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["steps"] == 3
    assert metrics["prior_calls"] == 3
    assert any("flurble" in note for note in metrics["notes"])
    back = np.array(metrics["to_scene"]) @ [0, 0, 0, 1]
    np.testing.assert_allclose(back[:3], (3, 0, 0), atol=1e-5)
    assert len(read_ply(out / "splats.ply")) == 400
    mesh = trimesh.load(out / "mesh.glb", force="mesh")
    assert 100 < len(mesh.faces) == metrics["faces"] < 450
    assert mesh.visual.material.baseColorTexture.size == (128, 128)
    assert Image.open(out / "turntable.webp").n_frames > 8
    assert "flurble" in capsys.readouterr().err
    rows = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["event"] == "progress"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--prompt", ""], "prompt"),
        (["--prompt", "x" * 10_000], "prompt"),
        ([], "prompt"),
        (["--prompt", "qwrtzp flurble"], "prompt"),
        (["--prompt", "a cup", "--objective", "magic"], "objective"),
        (["--prompt", "a cup", "--prior", "/no/such/folder"], "/no/such/folder"),
        (["--prompt", "a cup", "--steps", "0"], "steps"),
        (["--prompt", "a cup", "--steps", "-3"], "steps"),
        (["--prompt", "a cup", "--device", "quantum"], "device"),
        (["--prompt", "a cup", "--init-mesh", "/no/mesh.obj"], "/no/mesh.obj"),
        (["--prompt", "a cup", "--job", "/no/job.json"], "job"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, arguments, name, capsys):
    assert run(*arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert name in error
    assert len(error.splitlines()) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ({"stepz": 5}, "stepz"),
        ({"steps": "ten"}, "recipe.steps"),
        ({"options": {"guidance_scail": 3}}, "recipe.options"),
        ({"options": {"guidance_scale": -3}}, "recipe.options.guidance_scale"),
        ({"splats": {"lr_means": "fast"}}, "recipe.splats.lr_means"),
    ],
)
def test_mistyped_fields_are_named(tmp_path, recipe, name, capsys):
    (tmp_path / "job.json").write_text(json.dumps({"prompt": "a cup", "recipe": recipe}))
    assert run("--job", tmp_path / "job.json", "--out", tmp_path / "out") == 2
    assert name in capsys.readouterr().err


def test_bad_meshes_are_refused(tmp_path, capsys):
    corners = np.random.default_rng(0).normal(size=(30, 3))
    nan = corners.copy()
    nan[3, 1] = np.nan
    trimesh.Trimesh(nan, [[0, 1, 2], [3, 4, 5]], process=False).export(tmp_path / "nan.ply")
    (tmp_path / "empty.obj").write_text("# nothing\n")
    (tmp_path / "noise.glb").write_bytes(b"no mesh at all")
    for name in ("nan.ply", "empty.obj", "noise.glb"):
        assert run("--prompt", "a cup", "--init-mesh", tmp_path / name, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err.strip()
        assert name in error
        assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_used_and_unwritable_folders(tmp_path, job, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious.txt").write_text("mine")
    assert run("--job", job, "--prompt", "a cup", "--steps", 1, "--out", tmp_path / "used") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["precious.txt"]
    assert run("--job", job, "--prompt", "a cup", "--steps", 1, "--out", "/proc/splatsmith") == 2
    assert "/proc/splatsmith" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence(tmp_path, job, capsys, monkeypatch):
    """/dev/full is a disk that is always full."""
    monkeypatch.setattr("backend.run.folder.FILES", ())
    out = tmp_path / "out"
    out.mkdir()
    (out / "events.jsonl").symlink_to("/dev/full")
    assert run("--job", job, "--prompt", "a cup", "--steps", 1, "--out", out, "--overwrite") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in error


def test_stop_and_continue_gives_the_same_splats(tmp_path, job):
    options = ["--job", job, "--prompt", "a red apple", "--objective", "vdm", "--steps", "14"]
    command = [sys.executable, "-m", "backend", "generate", *options, "--out", tmp_path / "stopped"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "stopped" / "events.jsonl"
    while not events.exists() or events.read_text().count('"progress"') < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"--continue {tmp_path / 'stopped'}" in error.replace("\n", "")
    assert (tmp_path / "stopped" / "splats.ply").exists()
    assert run("--continue", tmp_path / "stopped") == 0
    assert run(*options, "--out", tmp_path / "straight") == 0
    one, other = (read_ply(tmp_path / name / "splats.ply") for name in ("stopped", "straight"))
    for key, value in vars(one).items():
        torch.testing.assert_close(value, getattr(other, key), atol=1e-6, rtol=0)


def test_continuing_for_more_steps_and_past_the_end(tmp_path, job, capsys):
    out = tmp_path / "out"
    assert run("--job", job, "--prompt", "a cup", "--objective", "sds", "--steps", 2, "--out", out) == 0
    assert run("--continue", out) == 2
    assert "already at its last step, 2" in capsys.readouterr().err
    assert run("--continue", out, "--steps", 2) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 4
    state = load_file(out / "checkpoint.safetensors")
    key = next(key for key in state if key.endswith("means"))
    state[key][0, 0] = torch.nan
    save_file(state, out / "checkpoint.safetensors")
    assert run("--continue", out, "--steps", 1) == 2
    assert "NaN" in capsys.readouterr().err
    assert run("--continue", tmp_path / "nowhere") == 2


def test_mix_overrides_the_recipe_of_the_job_file(tmp_path):
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"prompt": "a chair", "recipe": {"steps": 7, "catalogue": {"mix": 0.9, "objects": 3}}}))
    args = build_parser().parse_args(["generate", "--job", str(file), "--mix", "0.1", "--out", str(tmp_path / "out")])
    assert job_fields(args)["recipe"] == {"steps": 7, "catalogue": {"mix": 0.1, "objects": 3}}
    assert main(["generate", "--prompt", "a chair", "--mix", "2", "--out", str(tmp_path / "out")]) == 2
