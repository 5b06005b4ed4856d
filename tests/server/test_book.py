"""The book of jobs on disk, what is offered, what sittings cost: no server needed."""

import msgspec
import numpy as np
import pytest
import torch

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.job.tuning import QUALITIES, default_recipe
from backend.run.assemble import make_objective
from backend.run.events import Preview, Snapshot, StepDone, Warning
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.initial import sphere
from backend.scenes.ply import write_ply
from backend.service.capabilities import welcome
from backend.service.jobs import Jobs, UnknownJobError
from backend.service.requests import stored_results
from shared.codec import decode_answer, encode
from shared.messages import new_job_id

SMALL = {"prompt": "a cup", "recipe": {"steps": 4, "views": 1, "splats": {"initial_count": 100, "growth": "none"}}}


def add(jobs, **changes):
    job, spec = new_job_id(), make_job(SMALL)
    jobs.folder(job).begin(spec)
    jobs.add(job, spec).update(**changes)
    return job


def test_a_restart_keeps_what_ended_and_puts_the_rest_in_the_queue(tmp_path):
    jobs = Jobs(tmp_path)
    done = add(jobs, state="done", step=4)
    jobs[done].keep_thumbnail(np.full((192, 192, 3), 9, np.uint8))
    later, sooner = add(jobs, state="running", queued=2.0, text="x"), add(jobs, state="finishing", queued=1.0)
    again = Jobs(tmp_path)
    assert again[done].state().state == "done"
    assert (again[done].state().thumbnail == 9).all()
    assert [again[job].record.state for job in (later, sooner)] == ["queued"] * 2
    assert again.next() is again[sooner]
    assert [state.job for state in again.listed()] == [sooner, later, done]
    again.forget(done)
    with pytest.raises(UnknownJobError):
        again[done]
    assert done not in Jobs(tmp_path)


@pytest.mark.parametrize("name", ["state.json", "job.json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_damaged_jobs_are_skipped_and_not_touched(tmp_path, name, damage):
    jobs = Jobs(tmp_path)
    whole, broken = add(jobs), add(jobs)
    (tmp_path / broken / name).write_bytes(damage)
    again = Jobs(tmp_path)
    assert whole in again
    assert broken not in again
    assert (tmp_path / broken / name).read_bytes() == damage


def test_a_full_disk_does_not_stop_a_job(tmp_path, caplog):
    jobs = Jobs(tmp_path)
    job = add(jobs)
    jobs[job].folder.path.rename(tmp_path / "away")
    jobs[job].update(state="running")
    assert jobs[job].state().state == "running"
    assert "could not be written" in caplog.text


def with_particles(jobs, count=3):
    """A job that has ended, with the splats of all its particles."""
    job, spec = new_job_id(), make_job({**SMALL, "objective": "jsd", "particles": count})
    jobs.folder(job).begin(spec)
    entry = jobs.add(job, spec)
    for number in range(1, count + 1):
        generator = torch.Generator().manual_seed(number)
        write_ply(sphere(20, 0.5, generator), entry.folder.particle(number) / "splats.ply")
    entry.update(state="done", step=4)
    return entry, jobs.add_particles(entry)


def test_particles_are_listed_beside_their_job_and_fetched_like_it(tmp_path):
    jobs = Jobs(tmp_path)
    older = add(jobs, created=1.0)
    run, (second, third) = with_particles(jobs)
    for book in (jobs, Jobs(tmp_path)):
        listed = book.listed()
        assert [state.job for state in listed] == [run.id, second.id, third.id, older]
        assert [(state.part_of, state.particle) for state in listed[:3]] == [(None, 1), (run.id, 2), (run.id, 3)]
        assert {state.state for state in listed[:3]} == {"done"}
        clouds = [stored_results(book[state.job])[0] for state in listed[:3]]
        assert [cloud.job for cloud in clouds] == [state.job for state in listed[:3]]
        assert not np.array_equal(clouds[0].means, clouds[1].means)
    assert jobs.add_particles(run)[0].id == second.id  # it was continued
    assert len(jobs.listed()) == 4


def test_a_particle_is_forgotten_alone_or_with_its_job(tmp_path):
    jobs = Jobs(tmp_path)
    run, (second, third) = with_particles(jobs)
    jobs.forget(second.id)
    assert [state.job for state in Jobs(tmp_path).listed()] == [run.id, third.id]
    assert stored_results(jobs[run.id])
    jobs.forget(run.id)
    assert jobs.listed() == ()
    assert not list(tmp_path.iterdir())


def test_every_offered_setting_is_accepted():
    offers = decode_answer(encode(welcome("/kits")))
    assert [objective.name for objective in offers.objectives] == list(RULES)
    assert (offers.kits, offers.qualities) == ("/kits", QUALITIES)
    for objective in offers.objectives:
        assert objective.title
        assert objective.particles == RULES[objective.name].particles
        make_objective(objective.name, {option.name: option.default for option in objective.options})
        tuned = default_recipe(objective.name, "embedded").catalogue
        assert {option.name: option.default for option in objective.catalogue} == msgspec.to_builtins(tuned)
        for option in (*objective.options, *objective.catalogue):
            assert option.description
            assert (option.kind == "choice") == bool(option.choices)
            if option.low is not None and option.high is not None:
                assert option.low <= option.default <= option.high


def test_cost_adds_up_over_sessions_and_previews_change_nothing(tmp_path):
    job = make_job({**SMALL, "objective": "sds"})
    scenes, kinds = [], []
    for name, show_seconds in (("plain", 0.0), ("shown", 1e-9)):
        folder = JobFolder(tmp_path / name)
        folder.begin(job)
        for until in (2, 4):
            session = Session.resume(folder) if until == 4 else Session(job, folder)
            kinds = [type(event) for event in session.steps(until, show_seconds) if not isinstance(event, Warning)]
            session.save()
        assert session.cost()["prior_calls"] == 4
        scenes.append(session.run.scene.splats())
    assert kinds[:3] == [StepDone, Preview, Snapshot]
    assert kinds[-2:] == [Preview, Snapshot]
    assert all(torch.equal(a, b) for a, b in zip(vars(scenes[0]).values(), vars(scenes[1]).values(), strict=True))
