"""Results of the command line: where they stand, and that all of them are of one step."""

import json
import shutil
import time
from itertools import takewhile

import numpy as np
import pytest
import torch
import trimesh

from backend.cli.main import main
from backend.job.job import make_job
from backend.run.events import ResultReady, Warning
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.ply import read_ply
from tests.small import MESH

QUICK = {"views": 1, "splats": {"growth": "none"}, "stages": [{"side": 32}], "checkpoint_every": 1, "mesh": MESH}
EXACT = {"mesh": {"faces": 2000, "texture_side": 128}}  # as fine a grid as a user's
SIZE, CENTRE = np.array([0.08, 0.06, 0.1]), np.array([30.0, -20.0, 10.0])


def run(*arguments):
    return main(["generate", *map(str, arguments)])


def job_file(file, **recipe):
    file.write_text(json.dumps({"prompt": "a red box", "objective": "sds", "recipe": QUICK | recipe}))
    return file


@pytest.fixture
def quick(tmp_path):
    return job_file(tmp_path / "quick.json")


def box(file, y_up=False):
    """A small box far away; in a Y-up file it stands there once an importer has turned it to Z-up."""
    mesh = trimesh.creation.box(SIZE)
    mesh.apply_translation(CENTRE)
    if y_up:
        mesh.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    mesh.export(file)
    return file


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".obj"])
def test_results_stand_where_and_as_large_as_the_mesh_stood(tmp_path, suffix):
    """Within a hundredth and a half of the box's radius on each side; before, they lay in the unit ball."""
    start, out = box(tmp_path / f"box{suffix}", suffix != ".ply"), tmp_path / "out"
    exact = job_file(tmp_path / "exact.json", **EXACT)
    assert run("--job", exact, "--steps", 2, "--init-mesh", start, "--keep-shape", 1, "--out", out) == 0
    splats = read_ply(out / "splats.ply")
    means = splats.means.numpy()
    np.testing.assert_allclose((means.max(0) + means.min(0)) / 2, CENTRE, atol=1e-3)
    np.testing.assert_allclose(np.ptp(means, axis=0), SIZE, atol=2e-3)
    assert splats.log_scales.exp().max() < 0.01  # metres
    mesh = trimesh.load(out / "mesh.glb", force="mesh").vertices @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    radius = np.linalg.norm(SIZE) / 2
    np.testing.assert_allclose(mesh.max(0), CENTRE + SIZE / 2, atol=0.02 * radius)
    np.testing.assert_allclose(mesh.min(0), CENTRE - SIZE / 2, atol=0.02 * radius)
    inside = JobFolder(out).splats()  # for those that look at it from the grid's cameras
    assert 0.95 < float(inside.means.norm(dim=-1).max()) < 1.02
    assert json.loads((out / "metrics.json").read_text())["placed"] is True


def test_a_servers_results_lie_in_the_ball_and_are_sent_with_their_matrix(tmp_path):
    job = make_job({"prompt": "a red box", "init_mesh": str(box(tmp_path / "box.ply")), "recipe": QUICK})
    folder = JobFolder(tmp_path / "job")
    folder.begin(job)
    (folder / "state.json").write_text("{}")
    Session(job, folder).save()
    assert float(read_ply(folder / "splats.ply").means.norm(dim=-1).max()) < 1.02


def test_a_box_that_keeps_its_shape_is_as_large_after_a_run(tmp_path):
    """A whole draft: 200 steps; before, the box grew by up to a tenth and lost its lid."""
    start, out = box(tmp_path / "box.ply"), tmp_path / "out"
    (tmp_path / "job.json").write_text(json.dumps({"prompt": "a red box", "quality": "draft", "recipe": EXACT}))
    assert run("--job", tmp_path / "job.json", "--init-mesh", start, "--keep-shape", 1, "--out", out) == 0
    mesh = trimesh.load(out / "mesh.glb", force="mesh").vertices @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    assert np.abs(np.ptp(mesh, axis=0) / SIZE - 1).max() < 0.04


def session_of(folder, resume=True):
    return Session(folder.job(), folder, resume=resume)


@pytest.fixture(scope="module")
def done_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done")
    assert run("--job", job_file(folder / "quick.json"), "--steps", 2, "--out", folder / "out") == 0
    (folder / "out" / "scene.blend").write_bytes(b"a day's work")
    return folder / "out"


@pytest.fixture
def done(tmp_path, done_once):
    """A finished job of two steps, and a scene in which somebody worked."""
    return JobFolder(shutil.copytree(done_once, tmp_path / "out"))


def test_results_of_earlier_splats_are_removed(done, capsys):
    """Continued and cancelled: the splats are of the step that was reached, and nothing there is of another one."""
    session = session_of(done)
    for _ in takewhile(lambda event: not isinstance(event, ResultReady) and session.run.step < 4, session.steps(9)):
        pass
    assert session.save() == ["scene.blend belongs to earlier results; it was kept as scene-1.blend."]
    names = {path.name for path in done.path.iterdir()}
    made = {"job.json", "events.jsonl", "checkpoint.safetensors", "history.safetensors", "splats.ply"}
    assert names == made | {"scene-1.blend", "writer.json"}
    assert (done / "scene-1.blend").read_bytes() == b"a day's work"
    assert torch.equal(read_ply(done / "splats.ply").means, session.run.scene.splats().means)
    # What was left out is made by the same command, and only once.
    assert run("--continue", done.path) == 0
    assert json.loads((done / "metrics.json").read_text())["steps"] == session.run.step
    assert run("--continue", done.path) == 2
    assert "already at its last step" in capsys.readouterr().err


def test_where_no_mesh_is_made_the_older_one_is_removed(done):
    """Splats too faint for a surface: no mesh, and not that of the step before."""
    assert (done / "mesh.glb").exists()
    session = session_of(done)
    list(session.steps(3))
    with torch.no_grad():
        session.run.scene.params["opacities"].fill_(-12.0)
    session.save()
    warnings = [event.text for event in session.results() if isinstance(event, Warning)]
    assert any("No mesh was made" in text for text in warnings)
    assert not (done / "mesh.glb").exists()
    assert (done / "turntable.png").exists()


def test_a_full_disk_leaves_the_old_results_whole(done, monkeypatch):
    before = {name: (done / name).read_bytes() for name in ("splats.ply", "mesh.glb", "metrics.json", "turntable.png")}
    session = session_of(done)
    list(session.steps(3))
    with torch.no_grad():  # which no PLY can hold
        session.run.scene.params["sh0"][0] = torch.inf
    monkeypatch.setattr(session, "checkpoint", lambda: None)
    with pytest.raises(ValueError, match="NaN or infinite"):
        session.save()
    assert {name: (done / name).read_bytes() for name in before} == before


def test_overwriting_keeps_a_scene_that_somebody_worked_in(done, quick, capsys):
    assert run("--job", quick, "--steps", 1, "--out", done.path, "--overwrite") == 0
    assert (done / "scene-1.blend").read_bytes() == b"a day's work"
    assert not (done / "scene.blend").exists()
    assert "kept as scene-1.blend" in capsys.readouterr().err


def test_resuming_needs_no_mesh_file(tmp_path, quick):
    """Everything is in the checkpoint: the result is that of the run which was not interrupted."""
    start = box(tmp_path / "box.ply")
    for name in ("straight", "stopped"):
        options = ["--job", quick, "--init-mesh", start, "--steps", 4 if name == "straight" else 2, "--out"]
        assert run(*options, tmp_path / name) == 0
    before = time.time()
    shutil.move(start, tmp_path / "elsewhere.ply")
    job = (tmp_path / "stopped" / "job.json").read_text().replace('"steps": 2', '"steps": 4')
    (tmp_path / "stopped" / "job.json").write_text(job)
    assert run("--continue", tmp_path / "stopped") == 0
    one, other = (read_ply(tmp_path / name / "splats.ply") for name in ("straight", "stopped"))
    assert (tmp_path / "stopped" / "splats.ply").stat().st_mtime >= before
    np.testing.assert_allclose(other.means.mean(0), CENTRE, atol=0.01)
    assert one.means.shape == other.means.shape
