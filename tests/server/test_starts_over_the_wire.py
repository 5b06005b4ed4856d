"""Starts over the wire: a draft with its own progress, stopped and killed in it, and the splats of a chosen job."""

import json

import numpy as np
import pytest
import tiny_pipelines as tiny
from serving import Backend, Person, kill, metrics, until
from test_jobs_over_the_wire import cube

from backend.run.folder import JobFolder
from blender_addon.shared import messages as m
from tests.small import MESH

LARGE = {"objective": "sds", "recipe": {"stages": [{"side": 32}]}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A large prior of a few thousand random weights."""
    return str(tiny.save_stable_diffusion(tmp_path_factory.mktemp("model")))


def test_a_draft_is_told_as_a_stage_and_stopped_and_gone_on_with(backend, person, model):
    job = person.generates(2, prompt="a wooden chair", prior=model, start="draft", **LARGE)
    first = person.waits(m.Progress, job, stage="draft")
    assert (first.step, first.of) == (1, 200)
    shown = person.waits(m.Splats, job, final=False)
    assert (shown.step, len(shown.means)) == (0, 3000)
    assert person.waits(m.JobState, job, state="running").step == 0
    person.asks(m.Cancel(job=job))
    stopped = person.waits(m.JobState, job, state="stopped")
    assert (stopped.step, stopped.has_splats) == (0, True)
    reached = int(JobFolder(backend.jobs / job).load()["draft.step"])
    assert 0 < reached < 200

    person.asks(m.Continue(job=job, steps=2))
    assert person.waits(m.Progress, job, stage="draft").step == reached + 1
    assert person.waits(m.Progress, job, stage="run").of == 2
    done = person.waits(m.JobState, job, state="done")
    assert done.step == 2
    assert done.credits[0].startswith("Started from ")
    assert metrics(backend.jobs, job)["started_from"]["steps"] == 200


def test_a_worker_that_is_killed_in_the_draft_goes_on_with_it(tmp_path, model):
    backend = Backend(tmp_path)
    person = Person(backend)
    job = person.generates(1, prompt="a wooden chair", prior=model, start="draft", **LARGE)
    person.waits(m.Progress, job, stage="draft", step=3)
    kill(backend.worker)
    person.waits(m.JobState, job, state="failed")
    person.asks(m.Continue(job=job, steps=1))
    assert person.waits(m.Progress, job, stage="draft").step > 1  # from the checkpoint of a step before
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped")
    person.client.stop()
    backend.end()


def test_a_job_starts_from_another_one_where_that_stands(backend, person):
    source = person.generates(1, mesh=cube(), prompt="a red box")
    done = person.waits(m.JobState, source, state="done")
    job = m.new_job_id()
    recipe = {"steps": 1, "views": 1, "splats": {"initial_count": 400, "growth": "none"}, "mesh": MESH}
    person.asks(m.Generate(job=job, fields={"prompt": "a blue box", "recipe": recipe}, start_from=source))
    person.waits(m.JobState, job)
    person.asks(m.Forget(job=source))  # its splats have been copied
    until(lambda: not (backend.jobs / source).exists())
    state = person.waits(m.JobState, job, state="done")
    np.testing.assert_allclose(state.to_scene, done.to_scene, atol=1e-6)
    told = metrics(backend.jobs, job)["started_from"]
    assert (told["start"], told["prompt"]) == ("job", "a red box")
    assert told["credits"]
    assert json.loads((backend.jobs / job / "job.json").read_text())["start"] == "job"

    again = m.new_job_id()
    person.asks(m.Generate(job=again, fields={"seed": 6}, like=job))
    np.testing.assert_allclose(person.waits(m.JobState, again, state="done").to_scene, done.to_scene, atol=1e-6)


def test_what_cannot_be_started_from_is_refused_and_leaves_nothing(backend, person):
    waiting = person.generates(100_000)
    queued = person.generates(1)
    person.waits(m.JobState, queued, state="queued")
    for fields, start_from, words in (
        ({}, queued, "no splats yet"),
        ({}, m.new_job_id(), "does not have this job"),
        ({"start_from": "/etc"}, None, "start_from: the server does not read files"),
        ({"start": "cube"}, None, "start: 'cube'"),
    ):
        job = m.new_job_id()
        person.asks(m.Generate(job=job, fields={"prompt": "a cup", **fields}, start_from=start_from))
        assert words in person.waits(m.Error, job).text
        assert not (backend.jobs / job).exists()
    for job in (queued, waiting):
        person.asks(m.Cancel(job=job))
        person.waits(m.JobState, job, state="stopped")
