"""Clients and a server as they are: from a sentence to splats and a mesh, and what may happen on the way."""

import time

import msgspec
import numpy as np
import pytest
from serving import Stranger, metrics, until

from backend.job.job import read_job
from backend.scenes.ply import read_ply
from blender_addon.shared import messages as m
from shared import messages as ours


def cube(offset=3.0):
    x = np.linspace(-0.5, 0.5, 2)
    vertices = np.stack(np.meshgrid(x, x, x, indexing="ij"), -1).reshape(-1, 3) + np.array([offset, 0, 0])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    colours = np.full((8, 4), 200, np.uint8)
    return m.SceneMesh(vertices=vertices.astype(np.float32), faces=np.array(faces, np.int32), colours=colours)


def test_a_job_from_its_prompt_to_its_mesh_and_continued(backend, person):
    job = person.generates(3, mesh=cube(), keep_shape=0.5)
    done = person.waits(m.JobState, job, state="done")
    steps = [message.step for message in person.heard if isinstance(message, m.Progress)]
    assert steps == sorted(steps)
    assert steps[-1] == 3
    assert any(isinstance(message, m.Preview) for message in person.heard)
    live = person.waits(m.Splats, job, final=False)
    assert len(live.means) >= 100
    assert done.has_splats
    assert done.has_mesh
    assert done.thumbnail.shape == (96, 96, 3)
    np.testing.assert_allclose(np.array(done.to_scene) @ [0, 0, 0, 1], (3, 0, 0, 1), atol=1e-5)

    person.asks(m.Fetch(job=job))
    result = person.waits(m.Splats, job, final=True)
    on_disk = read_ply(backend.jobs / job / "splats.ply")
    np.testing.assert_array_equal(result.means, on_disk.means)
    np.testing.assert_allclose(result.scales, on_disk.log_scales.exp(), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(result.quats, axis=1), 1, atol=1e-6)
    assert bytes(person.waits(m.Mesh, job).glb[:4]) == b"glTF"

    assert metrics(backend.jobs, job)["prior_calls"] == 3

    # On for two steps; cancelled while the mesh is made, the new splats are there all the same.
    person.asks(m.Continue(job=job, steps=2))
    person.waits(m.JobState, job, state="finishing", step=5)
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped", step=5)


def test_the_mesh_of_a_job_that_is_done_is_refined_later(backend, person):
    job = person.generates(1)
    before = person.waits(m.JobState, job, state="done")
    mesh = (backend.jobs / job / "mesh.glb").read_bytes()
    person.asks(m.Continue(job=job, refine_steps=2))
    assert person.waits(m.Progress, job, stage="mesh").of == 2
    after = person.waits(m.JobState, job, state="done")
    assert (after.step, after.of) == (before.step, before.of)
    assert (backend.jobs / job / "mesh_unrefined.glb").read_bytes() == mesh
    person.asks(m.Fetch(job=job))
    assert bytes(person.waits(m.Mesh, job).glb) == (backend.jobs / job / "mesh.glb").read_bytes() != mesh
    (backend.jobs / job / "checkpoint.safetensors").unlink()
    person.asks(m.Continue(job=job, refine_steps=3))
    assert "no splats yet" in person.waits(m.Error, job).text
    assert (backend.jobs / job / "metrics.json").exists()


def test_particles_of_a_job_are_jobs_once_it_has_ended(backend, person):
    job = person.generates(2, objective="jsd", particles=2)
    person.waits(m.Progress, job)
    assert "the first" in person.waits(m.Warning, job).text
    person.waits(m.JobState, job, state="done")
    second = person.waits(m.JobState, part_of=job, state="done")
    assert second.has_mesh
    assert second.thumbnail.shape == (96, 96, 3)
    assert second.credits
    person.asks(m.Fetch(job=second.job))
    result = person.waits(m.Splats, second.job, final=True)
    np.testing.assert_array_equal(result.means, read_ply(backend.jobs / job / "particle-2/splats.ply").means)
    assert bytes(person.waits(m.Mesh, second.job).glb[:4]) == b"glTF"
    person.asks(m.Continue(job=second.job, steps=2))
    assert "continue that one" in person.waits(m.Error).text


def test_memory_is_freed_between_two_jobs(backend, person):
    job = person.generates(100_000)
    person.waits(m.Progress, job)
    person.asks(m.FreeMemory())
    assert person.waits(m.Error).text.startswith("A job is running and needs the memory")
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped")
    person.asks(m.FreeMemory())
    until(
        lambda: not any(isinstance(asked.message, m.FreeMemory) for asked in person.client._requests._requests.values())
    )
    person.listen()
    assert not [message for message in person.heard if isinstance(message, m.Error)]
    person.waits(m.JobState, person.generates(1), state="done")


def test_cancel_is_answered_at_once_and_takes_effect_within_a_step(backend, person):
    job = person.generates(100_000)
    person.waits(m.Progress, job)
    began = time.monotonic()
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job)
    assert time.monotonic() - began < 5  # 0.1 on a machine of one's own
    stopped = person.waits(m.JobState, job, state="stopped")
    assert len({message.step for message in person.heard if isinstance(message, m.Progress)}) <= 2
    assert stopped.has_splats
    person.asks(m.Fetch(job=job))
    assert person.waits(m.Splats, job, final=True).step == stopped.step


def test_queued_jobs_run_in_order_and_can_be_cancelled_and_forgotten(backend, person, other):
    other.waits(m.Jobs)
    first, second, third = (person.generates(100_000) for _ in range(3))
    person.waits(m.JobState, first, state="running")
    other.waits(m.JobState, third, state="queued")
    other.asks(m.Cancel(job=second))
    person.waits(m.JobState, second, state="stopped")
    person.asks(m.Forget(job=first))
    assert "cancel it" in person.waits(m.Error, first).text
    person.asks(m.Cancel(job=first))
    person.waits(m.JobState, third, state="running")
    person.asks(m.Cancel(job=third))
    person.waits(m.JobState, third, state="stopped")
    for job in (first, second, third):
        person.asks(m.Forget(job=job))
        person.waits(m.Removed, job)
        other.waits(m.Removed, job)
        assert not any(isinstance(message, m.Jobs) for message in person.heard)  # a list of a thousand jobs is 28 MB
        assert not (backend.jobs / job).exists()


def test_only_those_that_watch_get_pictures_and_late_ones_get_the_last(backend, person, other):
    other.waits(m.Jobs)
    job = person.generates(100_000)
    person.waits(m.Splats, job)
    other.waits(m.Progress, job)
    assert not any(isinstance(message, m.Splats | m.Preview) for message in other.heard)
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped")
    other.asks(m.Watch(jobs=(job,)))
    assert other.waits(m.Preview, job).image.ndim == 3
    other.waits(m.Splats, job)


def test_asking_twice_makes_one_job(backend, person):
    job = person.generates(100_000)
    person.waits(m.JobState, job, state="running")
    person.generates(1)  # another, so that the list has its order
    person.asks(m.Generate(job=job, fields={"prompt": "something else"}))
    assert person.waits(m.JobState, job).prompt == "a red apple"
    person.asks(m.ListJobs())
    jobs = person.waits(m.Jobs).jobs
    assert [state.job for state in jobs].count(job) == 1
    assert jobs[0].created >= jobs[1].created
    for state in jobs:
        person.asks(m.Cancel(job=state.job))
        person.waits(m.JobState, state.job)


def test_a_job_like_another_takes_over_its_settings_and_mesh(backend, person):
    first = person.generates(1, mesh=cube(), seed=5, keep_shape=0.5)
    person.waits(m.JobState, first, state="done")
    again = m.new_job_id()
    person.asks(m.Generate(job=again, fields={"seed": 6}, like=first))
    state = person.waits(m.JobState, again, state="done")
    assert (state.prompt, state.seed) == ("a red apple", 6)
    old, new = (read_job(backend.jobs / job / "job.json") for job in (first, again))
    assert new["init_mesh"] == str(backend.jobs / again / "init_mesh.ply") != old["init_mesh"]
    assert {**old, "seed": 6, "init_mesh": new["init_mesh"]} == new
    assert (backend.jobs / again / "init_mesh.ply").read_bytes() == (
        backend.jobs / first / "init_mesh.ply"
    ).read_bytes()
    lost = m.new_job_id()
    person.asks(m.Generate(job=lost, fields={}, like="0" * 32))
    assert "does not have this job" in person.waits(m.Error, lost).text
    assert not (backend.jobs / lost).exists()


BROKEN = {
    "no faces": (cube(), {"faces": np.zeros((0, 3), np.int32)}),
    "do not exist": (cube(), {"faces": np.array([[0, 1, 8]], np.int32)}),
    "NaN or infinite": (cube(np.nan), {}),
    "no size": (cube(), {"vertices": np.ones((8, 3), np.float32)}),
    "2,000,001 faces": (cube(), {"faces": np.zeros((2_000_001, 3), np.int32)}),
}


@pytest.mark.parametrize("words", BROKEN)
def test_meshes_that_cannot_be_used_are_refused(backend, person, words):
    mesh, changes = BROKEN[words]
    job = person.generates(1, mesh=msgspec.structs.replace(mesh, **changes))
    assert words in person.waits(m.Error, job).text
    assert not (backend.jobs / job).exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 2000}, "prompt"),
        ({"objective": "magic"}, "objective"),
        ({"quality": "best"}, "quality"),
        ({"keep_shape": 2}, "keep_shape"),
        ({"recipe": {"steps": 0}}, "recipe.steps"),
        ({"recipe": {"options": {"guidance_scail": 1}}}, "recipe.options"),
        ({"init_mesh": "/etc/passwd"}, "init_mesh"),
        ({"seed": "\ud800"}, "cannot be sent"),
    ],
)
def test_fields_that_cannot_be_used_are_refused(backend, person, fields, words):
    job = person.generates(1, **fields)
    error = person.waits(m.Error, job)
    assert words in error.text
    assert not (backend.jobs / job).exists()


@pytest.mark.parametrize("kind", [m.Cancel, m.Fetch])
def test_requests_for_unknown_jobs_are_errors(backend, person, kind):
    job = m.new_job_id()
    person.asks(kind(job=job))
    assert person.waits(m.Error, job).text.endswith(".")


def test_a_prompt_that_the_prior_cannot_read_fails_the_job_with_a_sentence(backend, person):
    job = person.generates(1, prompt="🍎\x07\x00")
    failed = person.waits(m.JobState, job, state="failed")
    assert "prompt" in failed.text
    assert failed.detail == ""


def test_a_client_that_does_not_read_gets_the_newest_and_holds_up_nobody(backend, person, context):
    slow = Stranger(backend.port, context, rcvhwm=1)
    slow.sends(ours.Hello(protocol=ours.PROTOCOL_VERSION, version="slow"))
    job = person.generates(12, recipe={"splats": {"initial_count": 60_000, "growth": "none"}})
    slow.sends(ours.Watch(jobs=(job,)))
    for step in range(1, 13):
        person.waits(m.Progress, job, step=step)
        slow.sends(ours.Ping(token=step))  # it is alive, and does not read
    heard = []
    until(lambda: heard.append(slow.hears()) or (isinstance(heard[-1], ours.Progress) and heard[-1].step == 12))
    shown = [message.step for message in heard if isinstance(message, ours.Splats)]
    assert len(shown) < sum(isinstance(message, m.Splats) for message in person.heard)
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped")
