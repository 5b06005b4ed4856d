"""What a job costs those who do not watch it: no splats, and its steps once a second."""

import time

import pytest
from serving import QUICK, until

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Ended, Task
from backend.service.executors.local import LocalExecutor
from backend.service.server import PROGRESS_INTERVAL, first_running
from blender_addon.shared import messages as m
from shared import messages as ours

JOB = "a" * 32


@pytest.mark.parametrize("watched", [True, False])
def test_a_worker_sends_splats_only_of_a_job_that_somebody_watches(tmp_path, watched):
    executor, heard, steps = LocalExecutor(tmp_path / "worker.log"), [], 60
    JobFolder(tmp_path / "job").begin(make_job({"prompt": "a cup", "recipe": {**QUICK, "steps": steps}}))
    executor.submit(Task(job=JOB, folder=str(tmp_path / "job"), until=steps))
    executor.show(JOB, watched)
    until(lambda: heard.extend(executor.events()) or any(isinstance(event, Ended) for event in heard))
    executor.close()
    assert [event.step for event in heard if isinstance(event, ours.Progress)] == list(range(1, steps + 1))
    assert heard[-1].state == "done"
    splats = [event for event in heard if isinstance(event, ours.Splats)]
    pictures = [event for event in heard if isinstance(event, ours.Preview)]
    assert bool(splats) == watched
    assert pictures[-1].step == steps  # its thumbnail
    assert len(pictures) >= len(splats)


def test_who_does_not_watch_a_job_hears_of_its_steps_once_a_second(person, other):
    job = person.generates(150)
    began = time.monotonic()
    person.waits(m.JobState, job, state="done")
    seconds = time.monotonic() - began
    other.waits(m.JobState, job, state="done")
    each, some = ([news.step for news in who.heard if isinstance(news, m.Progress)] for who in (person, other))
    assert each[-1] == 150
    assert 1 <= len(some) <= seconds / PROGRESS_INTERVAL + 2
    assert len(some) < len(each)
    assert any(isinstance(news, m.Splats) for news in person.heard)
    assert not any(isinstance(news, m.Splats) for news in other.heard)


def test_of_many_watched_jobs_the_first_four_that_run_are_shown():
    jobs = [f"{number:032x}" for number in range(10)]
    running = {jobs[0], *jobs[3:9]}
    assert first_running(jobs, running.__contains__) == [jobs[0], *jobs[3:6]]
    assert first_running(jobs, {jobs[9]}.__contains__) == [jobs[9]]
