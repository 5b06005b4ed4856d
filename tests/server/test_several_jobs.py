"""Several jobs at a time: a worker each, with its own stops, deaths and pauses."""

import os

import psutil
import pytest
from serving import QUICK, Person, kill, serving, until

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Ended, Task, local
from backend.service.executors.several import SeveralWorkers
from backend.service.places import Place
from blender_addon.shared import messages as m

LONG = 100_000
# What Python runs at each start: where BROKEN names a file that is there, torch cannot be imported.
BREAKING = """
import os, sys
if os.path.exists(os.environ.get("BROKEN", "")):
    sys.modules["torch"] = None
"""


def steps(person, job):
    person.listen()
    return [news.step for news in person.heard if isinstance(news, m.Progress) and news.job == job]


def test_two_jobs_run_side_by_side_and_each_is_stopped_killed_and_watched_by_itself(tmp_path):
    with serving(tmp_path, "--port", "0", "--workers", "2") as backend:
        person = Person(backend)
        one, two, three = (person.generates(LONG, seed=seed) for seed in (1, 2, 3))
        person.asks(m.Watch(jobs=(one, two, three)))
        for job in (one, two):
            person.waits(m.Splats, job)
        assert steps(person, three) == []
        workers = psutil.Process(backend.process.pid).children()
        assert len(workers) == 2

        person.asks(m.FreeMemory())
        assert "A job is running" in person.waits(m.Error).text

        # A cancel stops the one after its step, and the third takes its place.
        at = steps(person, one)
        person.asks(m.Cancel(job=one))
        stopped = person.waits(m.JobState, one, state="stopped")
        assert stopped.step - max([*at, *steps(person, one)]) <= 1
        person.waits(m.Progress, three)

        # The death of a worker costs its own job alone.
        kill(workers[1])
        failed = person.waits(m.JobState, two, state="failed")
        assert "SIGKILL" in failed.text
        before = max(steps(person, three))
        until(lambda: max(steps(person, three)) > before + 1)
        person.asks(m.Continue(job=two, steps=LONG))
        assert person.waits(m.Progress, two).step > failed.step
        for job in (two, three):
            person.client.send(m.Cancel(job=job))
            person.waits(m.JobState, job, state="stopped")
        person.client.stop()


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two workers, the second of which cannot start while the file BROKEN is there; and that file."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BREAKING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    flag = tmp_path / "BROKEN"
    flag.touch()
    monkeypatch.setattr(local, "PAUSE", 0.4)
    first = Place("cuda:0", {"CUDA_VISIBLE_DEVICES": ""})
    two = SeveralWorkers(tmp_path / "worker.log", [first, Place("cuda:1", {"BROKEN": str(flag)})])
    yield two, flag
    two.close()


def task(folder, name, steps=1, device="auto"):
    JobFolder(folder / name).begin(make_job({"prompt": "a cup", "recipe": {**QUICK, "steps": steps}}))
    return Task(job=name * 32, folder=str(folder / name), until=steps, device=device)


def ends(two, job):
    heard = []
    until(lambda: heard.extend(two.events()) or any(isinstance(e, Ended) and e.job == job for e in heard))
    return next(event for event in heard if isinstance(event, Ended) and event.job == job)


def test_a_worker_that_cannot_start_gives_its_task_to_the_other_and_gets_none_until_it_can(two, tmp_path):
    two, flag = two
    two.submit(task(tmp_path, "a", steps=30))
    assert two.has_room("auto")  # as far as is known
    two.submit(task(tmp_path, "b"))
    assert not two.has_room("auto")
    # The second worker cannot start, so the first one takes b too, when it is free.
    assert ends(two, "a" * 32).state == "done"
    assert ends(two, "b" * 32).state == "done"
    assert two.trouble.text.startswith("1 of 2 workers cannot work (number 2 on cuda:1): The backend's worker ended")
    assert two.trouble.text.endswith("The others go on.")
    two.submit(task(tmp_path, "c", steps=LONG))
    assert not two.has_room("auto")  # the broken one is free, and gets no task
    # A task that names the broken card fails after a few deaths, with the reason.
    assert two.has_room("cuda:1")
    two.submit(task(tmp_path, "d", device="cuda:1"))
    failed = ends(two, "d" * 32)
    assert failed.state == "failed"
    assert "torch" in failed.text
    flag.unlink()
    until(lambda: not two.events() and not two.trouble.text)
    assert two.has_room("auto")
    two.stop("c" * 32)
    assert ends(two, "c" * 32).state == "stopped"


def test_a_task_for_a_card_without_a_worker_is_refused_with_those_that_there_are(two, tmp_path):
    two, _ = two
    assert two.has_room("cuda:5")
    two.submit(task(tmp_path, "a", device="cuda:5"))
    assert ends(two, "a" * 32).text == (
        "device: this server has no worker for cuda:5; use auto, or one of those it has (cuda:0, cuda:1)."
    )
