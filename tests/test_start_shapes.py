"""Runs that start from the splats of a job, or from the mesh that Shap-E makes."""

import json
import shutil
from pathlib import Path

import pytest
import tiny_shap_e
import torch
import trimesh
from start_runs import alpha, begun, equal, fields, psnr, save_model

from backend.cli.main import main
from backend.job.job import read_job
from backend.priors.base import PriorError
from backend.run.folder import JobFolder
from backend.scenes.ply import read_ply
from tests.small import MESH


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished job of the embedded prior, which began with a box of 8 cm far away."""
    folder = tmp_path_factory.mktemp("finished")
    box = trimesh.creation.box((0.08, 0.06, 0.1))
    box.apply_translation((30, -20, 10))
    box.export(folder / "box.ply")
    job = {"prompt": "a red box", "recipe": {"steps": 2, "views": 1, "stages": [{"side": 32}], "mesh": MESH}}
    (folder / "job.json").write_text(json.dumps(job))
    options = ["--job", str(folder / "job.json"), "--init-mesh", str(folder / "box.ply"), "--out", str(folder / "out")]
    assert main(["generate", *options]) == 0
    return folder / "out"


def test_a_run_starts_from_the_splats_of_a_job_where_these_stand(tmp_path, finished, model):
    recipe = {"views": 1, "stages": [{"side": 32}], "splats": {"initial_count": 3000}}
    job = fields(model, start="job", start_from=str(finished), recipe=recipe)
    session = begun(tmp_path, **job)
    source = JobFolder(finished)
    assert torch.equal(session.run.scene.splats().means, source.splats().means)
    assert float(session.run.scene.splats().means.norm(dim=-1).max()) < 1.1  # in the ball
    torch.testing.assert_close(session.to_scene[:3, 3], torch.tensor([30.0, -20, 10]))
    list(session.steps(1))
    session.save()
    list(session.results())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    before = json.loads((finished / "metrics.json").read_text())
    assert metrics["started_from"]["prompt"] == "a red box"
    assert metrics["started_from"]["credits"] == before["credits"] != []
    means = read_ply(tmp_path / "out" / "splats.ply").means
    torch.testing.assert_close(means.mean(0), torch.tensor([30.0, -20, 10]), atol=0.05, rtol=0)


def test_a_job_that_was_stopped_is_a_start_too_and_its_credits_are_found(tmp_path, finished, model):
    stopped = Path(shutil.copytree(finished, tmp_path / "stopped"))
    (stopped / "metrics.json").unlink()
    job = fields(model, start="job", start_from=str(stopped))
    session = begun(tmp_path, **job)
    torch.testing.assert_close(session.to_scene[:3, 3], torch.tensor([30.0, -20, 10]))
    assert float(session.run.scene.splats().means.norm(dim=-1).max()) < 1.1
    list(session.steps(1))
    told = JobFolder(tmp_path / "out").started_from()
    assert told["credits"] == json.loads((finished / "metrics.json").read_text())["credits"]


def test_a_start_from_a_job_on_the_command_line(tmp_path, finished, capsys):
    quick = {"recipe": {"steps": 1, "views": 1, "stages": [{"side": 32}]}}
    (tmp_path / "quick.json").write_text(json.dumps(quick))
    options = ["generate", "--prompt", "a blue box", "--job", str(tmp_path / "quick.json"), "--start-from"]
    assert main([*options, str(finished), "--out", str(tmp_path / "out")]) == 0
    job = read_job(tmp_path / "out" / "job.json")
    assert (job["start"], job["start_from"]) == ("job", str(finished))
    assert main([*options, str(tmp_path / "none"), "--out", str(tmp_path / "other")]) == 2
    assert "start_from" in capsys.readouterr().err
    assert main([*options, str(finished), "--out", str(finished), "--overwrite"]) == 2
    assert "start_from: the results would replace" in capsys.readouterr().err
    assert (finished / "splats.ply").exists()
    damaged = Path(shutil.copytree(finished, tmp_path / "damaged"))
    (damaged / "splats.ply").write_bytes(b"ply\n")
    assert main([*options, str(damaged), "--out", str(tmp_path / "other")]) == 2
    assert "start_from: the splats of" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_splats_keep_their_look_when_there_are_too_few_of_them(tmp_path, finished, model):
    recipe = {"splats": {"initial_count": 6000, "cap_max": 9000}}
    session = begun(tmp_path, **fields(model, start="job", start_from=str(finished), recipe=recipe))
    splats = session.run.scene.splats()
    assert len(splats) == 6000
    assert psnr(alpha(splats), alpha(JobFolder(finished).splats())) > 30


def test_a_run_starts_from_shap_e_s_mesh_in_its_colours(tmp_path, model):
    shap_e = tiny_shap_e.save_shap_e(tmp_path / "shap-e", 0.05)
    recipe = {"steps": 1, "views": 1, "stages": [{"side": 32}], "splats": {"initial_count": 500}}
    session = begun(tmp_path, **fields(model, start="shap-e", start_prior=str(shap_e), recipe=recipe))
    splats = session.run.scene.splats()
    assert 400 < len(splats) <= 500
    assert 0.9 < float(splats.means.norm(dim=-1).max()) < 1.05  # it fills the ball
    torch.testing.assert_close(splats.rgb, torch.tensor(tiny_shap_e.COLOUR).expand(len(splats), 3), atol=0.01, rtol=0)
    assert torch.equal(session.to_scene, torch.eye(4))
    list(session.steps(1))
    told = JobFolder(tmp_path / "out").started_from()
    assert told == {"start": "shap-e", "prior": str(shap_e), "credits": []}


def test_a_prompt_of_which_shap_e_makes_nothing_starts_from_the_ball(tmp_path, model):
    shap_e = tiny_shap_e.save_shap_e(tmp_path / "shap-e", -1e4)
    session = begun(tmp_path, **fields(model, start="shap-e", start_prior=str(shap_e)))
    ball = begun(tmp_path, "ball", **fields(model, start="sphere"))
    assert equal(session.run.scene.splats(), ball.run.scene.splats())
    assert any("Shap-E made no surface" in note and "grey ball" in note for note in session.notes)


def test_a_shap_e_that_is_another_model_is_refused_before_anything_is_written(tmp_path, model):
    with pytest.raises(PriorError, match="ShapEPipeline"):
        begun(tmp_path, **fields(model, start="shap-e", start_prior=model))
    assert not (tmp_path / "out").exists()
