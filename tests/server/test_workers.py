"""The worker's own lifecycle: one that cannot warm up, one that is killed as its job ends."""

import itertools
import os
import queue
import subprocess
import sys
import time
from pathlib import Path

import pytest
from serving import QUICK, Person, gone, serving, until

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Ended, Task
from backend.service.executors.local import LocalExecutor
from blender_addon.shared import messages as m

ROOT = Path(__file__).parents[2]
# What Python runs at each start: for the worker alone, and while the file BROKEN is there, torch cannot be imported.
BREAKING = """
import os, sys
if "backend.service.worker" in sys.orig_argv and os.path.exists({flag!r}):
    sys.modules["torch"] = None
"""


@pytest.fixture
def breaking(tmp_path):
    """A file: while it is there no worker can start.  And the environment in which that is so."""
    flag, folder = tmp_path / "BROKEN", tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BREAKING.format(flag=str(flag)))
    flag.touch()
    return flag, {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_a_worker_that_cannot_start_is_reported_and_restarted_after_growing_pauses(breaking, tmp_path):
    flag, environment = breaking
    with serving(tmp_path / "jobs", **environment) as backend:
        person = Person(backend)
        trouble = person.waits(m.Trouble)
        assert "ended with code 1 before it was ready" in trouble.text
        assert "torch" in trouble.text  # the reason, as the program message it
        assert "Traceback" in trouble.detail
        times = []
        for _ in range(4):
            person.asks(m.ListJobs())
            person.waits(m.Trouble)
            times.append(time.monotonic())
        pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert pauses[-1] > 1.5 * pauses[0]
        job = person.generates(1)
        failed = person.waits(m.JobState, job, state="failed")
        assert "torch" in failed.text
        late = Person(backend)  # later clients get it too
        assert "torch" in late.waits(m.Trouble).text
        late.client.stop()
        flag.unlink()
        person.asks(m.Continue(job=job, steps=1))
        assert person.waits(m.JobState, job, state="done").has_splats
        assert person.waits(m.Trouble, text="").detail == ""
        person.client.stop()


def test_a_worker_whose_warm_up_fails_says_why_and_exits_without_a_fatal_error():
    code = """
import backend.service.worker as w
def fails(): raise RuntimeError('no kernel image')
w._warm_up = fails
w.main()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as w:
        words = w.stderr.read().decode()  # its input is still open: a thread of it waits there
        assert w.wait(60) == 1
    assert words.strip().splitlines()[-1] == "RuntimeError: no kernel image"


@pytest.fixture
def local(tmp_path):
    local = LocalExecutor(tmp_path / "worker.log")
    yield local
    worker = local._worker
    local.close()
    assert gone(worker._process.pid)


def task(folder, name, steps=1):
    """A small job in its folder."""
    JobFolder(folder / name).begin(make_job({"prompt": "a cup", "recipe": {**QUICK, "steps": steps}}))
    return Task(job=name * 32, folder=str(folder / name), until=steps)


def ends(local):
    """The next Ended event."""
    return until(lambda: next((event for event in local.events() if isinstance(event, Ended)), None))


def heard_end(local):
    """Wait until the Ended event is in the inbox, and leave it there."""
    seen = queue.SimpleQueue()
    worker, message = until(local._inbox.get)
    while not isinstance(message, Ended):
        seen.put((worker, message))
        worker, message = local._inbox.get()
    seen.put((worker, message))
    while not seen.empty():
        local._inbox.put(seen.get())


def test_a_second_cancel_as_the_job_ends_does_nothing_to_the_next(local, tmp_path):
    local.submit(task(tmp_path, "a"))
    heard_end(local)
    local.kill("a" * 32)
    assert ends(local).state == "done"
    local.submit(task(tmp_path, "b"))
    end = ends(local)
    assert (end.job, end.state) == ("b" * 32, "done")
    # And where the end comes just after the kill: the process is lost, the next job is not.
    local.submit(task(tmp_path, "c"))
    heard_end(local)
    local._worker.kill()
    assert ends(local).job == "c" * 32
    local.submit(task(tmp_path, "d"))
    end = ends(local)
    assert (end.job, end.state) == ("d" * 32, "done")


def test_a_job_that_was_stopped_while_the_worker_could_not_start_ends_at_once(breaking, tmp_path, monkeypatch):
    _, environment = breaking
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    local = LocalExecutor(tmp_path / "worker.log")
    until(lambda: local.events() or local.trouble.text)
    local.submit(task(tmp_path, "a", steps=1000))
    local.stop("a" * 32)
    assert ends(local).state == "stopped"
    local.close()
