"""What a job says of its start: defaults, contradictions, and a job file with later settings over it."""

import json

import pytest
import torch

from backend.job.job import JobError, make_job
from backend.job.layers import over
from backend.run import devices
from backend.run.folder import JobFolder
from backend.run.start import with_default_start
from backend.service.requests import accept
from shared.messages import Generate, new_job_id


def test_what_is_not_said_follows_from_what_is_named():
    assert make_job({"prompt": "a cup"}).start == "sphere"
    assert make_job({"prompt": "a cup", "init_mesh": "x.ply"}).start == "mesh"
    assert make_job({"prompt": "a cup", "start_from": "out"}).start == "job"
    assert make_job({"prompt": "a cup", "start": "draft"}).start_prior == "embedded"
    assert make_job({"prompt": "a cup", "start": "shap-e"}).start_prior == "openai/shap-e"
    assert make_job({"prompt": "a cup"}).start_by_default is True
    assert make_job({"prompt": "a cup", "start": "sphere"}).start_by_default is False


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"start": "cube"}, "start: 'cube' is not one of sphere, draft, shap-e, mesh, job"),
        ({"start": "mesh"}, "start: to start from a mesh, name it with init_mesh"),
        ({"start": "job"}, "start: to start from a job, name it with start_from"),
        ({"start": "draft", "init_mesh": "x.ply"}, "init_mesh: a run starts from one thing"),
        ({"init_mesh": "x.ply", "start_from": "out"}, "start_from: a run starts from one thing"),
        ({"start_prior": "embedded"}, "start_prior: is of no use here"),
    ],
)
def test_contradictions_are_refused(said, words):
    with pytest.raises(JobError, match=words):
        make_job({"prompt": "a cup", **said})


def test_a_large_prior_on_a_card_starts_from_a_draft(monkeypatch):
    """The choice is in job.json, so that the run is the same on a machine without a card."""
    large = {"prompt": "a chair", "prior": "some/model"}
    assert make_job(with_default_start(large)).start == "sphere"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_usable", lambda _index: True)
    job = make_job(with_default_start(large))
    assert (job.start, job.start_prior, job.start_by_default) == ("draft", "embedded", True)
    assert make_job(with_default_start(large | {"device": "cpu"})).start == "sphere"
    assert make_job(with_default_start(large | {"start": "sphere"})).start == "sphere"
    assert make_job(with_default_start(large | {"init_mesh": "x.ply"})).start == "mesh"
    assert make_job(with_default_start({"prompt": "a chair"})).start == "sphere"  # the embedded prior


def written(tmp_path, said, name="run"):
    folder = JobFolder(tmp_path / name)
    folder.begin(make_job({"prompt": "a chair", **said}))
    return json.loads((folder / "job.json").read_text())


def test_a_default_start_is_looked_up_again_with_another_prior_and_a_chosen_one_stays(tmp_path, monkeypatch):
    default = written(tmp_path, {"prior": "some/model", "start": "draft", "start_by_default": True})
    assert make_job(with_default_start(over(default, {"seed": 4})[0])).start == "draft"
    assert make_job(with_default_start(over(default, {"prior": "embedded"})[0])).start == "sphere"
    chosen = written(tmp_path, {"prior": "some/model", "start": "draft"})
    assert make_job(over(chosen, {"prior": "embedded"})[0]).start == "draft"
    ball = written(tmp_path, {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_usable", lambda _index: True)
    assert make_job(with_default_start(over(ball, {"seed": 4})[0])).start == "sphere"
    assert make_job(with_default_start(over(ball, {"prior": "some/model"})[0])).start == "draft"


def test_a_later_start_replaces_that_of_the_file(tmp_path):
    mesh = written(tmp_path, {"init_mesh": "x.ply", "keep_shape": 1.0})
    job = make_job(over(mesh, {"start": "sphere"})[0])
    assert (job.start, job.init_mesh) == ("sphere", None)
    assert job.recipe == make_job({"prompt": "a chair"}).recipe
    job = make_job(over(written(tmp_path, {"start": "draft"}), {"init_mesh": "x.ply"})[0])
    assert (job.start, job.start_prior, job.init_mesh) == ("mesh", "", "x.ply")
    job = make_job(over(mesh, {"start_from": "out"})[0])
    assert (job.start, job.init_mesh, job.start_from) == ("job", None, "out")
    assert job.recipe.splats.initial_count == 8000  # as keep_shape 1 says


def test_a_run_from_before_there_were_starts_begins_as_it_did(tmp_path):
    old = written(tmp_path, {"prior": "some/model"})
    for name in ("start", "start_prior", "start_from", "start_by_default"):
        del old[name]
    assert with_default_start(old) == old
    assert make_job(old).start == "sphere"


def test_the_server_writes_the_default_into_the_job_file(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_usable", lambda _index: True)
    folder = JobFolder(tmp_path / "job")
    request = Generate(job=new_job_id(), fields={"prompt": "a chair", "prior": "some/model"})
    assert accept(request, folder).start == "draft"
    said = json.loads((folder / "job.json").read_text())
    assert (said["start"], said["start_prior"], said["start_by_default"]) == ("draft", "embedded", True)
    small = Generate(job=new_job_id(), fields={"prompt": "a chair"})
    assert accept(small, JobFolder(tmp_path / "small")).start == "sphere"
