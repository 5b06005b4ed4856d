"""Whole jobs whose mesh is refined: the files, and a stop in the middle that changes no byte of them."""

import json

import pytest
import trimesh
from start_runs import begun

from backend.cli.main import main
from backend.run.events import MeshStep, ResultReady
from backend.run.folder import JobFolder
from backend.run.session import Session
from tests.small import MESH

RECIPE = {
    "views": 1,
    "steps": 1,
    "stages": [{"side": 32}],
    "mesh": {**MESH, "refine_steps": 4, "lr_vertices": 0.005},
}


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A red box."""
    mesh = trimesh.creation.box((0.8, 0.6, 1.0))
    mesh.visual.vertex_colors = [200, 30, 30, 255]
    file = tmp_path_factory.mktemp("box") / "box.ply"
    mesh.export(file)
    return str(file)


def test_a_job_leaves_both_meshes_and_stopped_it_goes_on_to_the_same_bytes(tmp_path, box):
    chosen = {"prompt": "a red box", "init_mesh": box, "recipe": RECIPE}
    straight, stopped = (begun(tmp_path, name, **chosen) for name in ("straight", "stopped"))
    for session in (straight, stopped):
        list(session.steps(1))
        session.save()
    events = list(straight.results())
    assert [event.step for event in events if isinstance(event, MeshStep)] == [1, 2, 3, 4]
    assert events[-1] == ResultReady("metrics.json")
    results = stopped.results()
    assert any(isinstance(event, MeshStep) and event.step == 2 for event in results)
    results.close()
    one, other = tmp_path / "straight", tmp_path / "stopped"
    assert not (other / "metrics.json").exists()
    half, unrefined = (other / "mesh.glb").read_bytes(), (other / "mesh_unrefined.glb").read_bytes()
    assert half != unrefined
    resumed = Session.resume(JobFolder(other))
    resumed.save()
    steps = [event.step for event in resumed.results() if isinstance(event, MeshStep)]
    assert steps == [3, 4]
    for name in ("mesh.glb", "mesh_unrefined.glb", "splats.ply"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert (one / "mesh.glb").read_bytes() not in (half, unrefined)
    assert (one / "mesh_unrefined.glb").read_bytes() == unrefined
    assert not (one / "refinement.safetensors").exists()
    told = [json.loads((folder / "metrics.json").read_text()) for folder in (one, other)]
    assert told[0]["refine_steps"] == 4
    assert told[0]["prior_calls"] == told[1]["prior_calls"]
    logged = [json.loads(line) for line in (one / "events.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged if row["event"] == "mesh"] == [1, 2, 3, 4]


def test_a_run_that_is_done_is_refined_later_to_the_same_bytes_and_back(tmp_path, box, capsys):
    file = tmp_path / "small.json"
    file.write_text(json.dumps({"prompt": "a red box", "init_mesh": box, "recipe": RECIPE}))
    at_once, later = tmp_path / "at-once", tmp_path / "later"
    assert main(["generate", "--job", str(file), "--out", str(at_once)]) == 0
    assert main(["generate", "--job", str(file), "--refine-mesh", "0", "--out", str(later)]) == 0
    assert not (later / "mesh_unrefined.glb").exists()
    again = ["generate", "--continue", str(later)]
    assert main(again) == 2
    assert "or --refine-mesh N" in capsys.readouterr().err
    for steps in ("2", "4"):  # the second time from the unrefined mesh, too
        assert main([*again, "--refine-mesh", steps]) == 0
    for name in ("mesh.glb", "mesh_unrefined.glb", "splats.ply", "turntable.png"):
        assert (at_once / name).read_bytes() == (later / name).read_bytes(), name
    assert json.loads((later / "job.json").read_text())["said"]["mesh"]["refine_steps"] == 4
    assert main([*again, "--refine-mesh", "0"]) == 0
    assert (later / "mesh.glb").read_bytes() == (at_once / "mesh_unrefined.glb").read_bytes()
    assert not (later / "mesh_unrefined.glb").exists()
    assert main([*again, "--refine-mesh", "-1"]) == 2
    assert "recipe.mesh.refine_steps" in capsys.readouterr().err
    (later / "checkpoint.safetensors").unlink()
    assert main([*again, "--refine-mesh", "3"]) == 2
    assert "no splats yet" in capsys.readouterr().err
    assert (later / "metrics.json").exists()


def test_a_refinement_for_other_steps_is_begun_anew_and_particles_are_told(tmp_path):
    chosen = {"prompt": "a red box", "objective": "jsd", "particles": 2, "recipe": RECIPE}
    session = begun(tmp_path, "run", **chosen)
    list(session.steps(1))
    session.save()
    results = session.results()
    assert any(isinstance(event, MeshStep) and event.step == 2 for event in results)
    results.close()
    out = tmp_path / "run"
    assert (out / "particle-2" / "refinement.safetensors").exists()
    assert main(["generate", "--continue", str(out), "--refine-mesh", "3"]) == 0
    for folder in (out, out / "particle-2"):
        assert json.loads((folder / "job.json").read_text())["recipe"]["mesh"]["refine_steps"] == 3
        assert json.loads((folder / "metrics.json").read_text())["refine_steps"] == 3
    logged = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [(row["step"], row["of"]) for row in logged if row["event"] == "mesh"] == [
        *((1, 4), (2, 4)),
        *((1, 3), (2, 3), (3, 3)) * 2,
    ]
    assert JobFolder(out).has_all_results(1, 3)
    assert not JobFolder(out).has_all_results(1, 4)


def test_the_command_line_takes_it_and_a_loaded_mesh_is_whole(tmp_path, box, capsys):
    job = tmp_path / "small.json"
    job.write_text(json.dumps({"recipe": {**RECIPE, "mesh": {}}}))
    options = ["--job", str(job), "--prompt", "a red box", "--init-mesh", box, "--refine-mesh", "2"]
    assert main(["generate", *options, "--out", str(tmp_path / "out")]) == 0
    assert "mesh: step 2 of 2" in " ".join("".join(capsys.readouterr()).split())
    written = json.loads((tmp_path / "out" / "job.json").read_text())
    assert written["said"]["mesh"] == {"refine_steps": 2}
    before, after = (trimesh.load(tmp_path / "out" / name, force="mesh") for name in ("mesh_unrefined.glb", "mesh.glb"))
    assert (before.faces == after.faces).all()
    assert (before.visual.uv == after.visual.uv).all()
    assert 0 < abs(before.vertices - after.vertices).max() < 0.02
