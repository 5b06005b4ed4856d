"""The worker's own lifecycle: one that cannot warm up, one that is killed as its job ends."""

import itertools
import os
import queue
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_pipelines as tiny
from serving import QUICK, Person, gone, serving, until

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Ended, Free, FromWorker, Task
from backend.service.executors.local import LocalExecutor
from backend.service.executors.pipes import read_frames, write_frames
from blender_addon.shared import messages as m
from shared.codec import decode, encode

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
        for _ in range(3):
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


WATCHED = """
import sys
import backend.service.worker as w
unload = w.unload_large_prior
def watched():
    print("a model was there:", unload(), file=sys.stderr, flush=True)
w.unload_large_prior, w.IDLE_SECONDS = watched, {idle}
{more}
w.main()
"""


@pytest.fixture
def worker(tmp_path):
    """Starts a worker with a few lines more; its process, and a function that waits for its next message of a kind."""
    started = []

    def start(idle=600, more=""):
        code = WATCHED.format(idle=idle, more=more)
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        started.append(process)

        def waits(kind):
            while not isinstance(message := decode(read_frames(process.stdout), FromWorker), kind):
                pass
            return message

        return process, waits, tmp_path / "log"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def with_a_model(tmp_path):
    """A job with a tiny model of Stable Diffusion."""
    model = tiny.save_stable_diffusion(tmp_path / "model")
    recipe = {**QUICK, "steps": 1, "stages": [{"side": 32}], "splats": {"initial_count": 64}}
    fields = {"prompt": "a red chair", "objective": "sds", "prior": str(model), "recipe": recipe}
    JobFolder(tmp_path / "a").begin(make_job(fields))
    return Task(job="a" * 32, folder=str(tmp_path / "a"), until=1)


def test_memory_is_given_back_when_asked_for(worker, tmp_path):
    process, waits, log = worker()
    write_frames(process.stdin, encode(Free()))  # nothing to free: no harm
    write_frames(process.stdin, encode(with_a_model(tmp_path)))
    write_frames(process.stdin, encode(Free()))
    assert waits(Ended).state == "done"
    until(lambda: log.read_text().count("a model was there") == 2)
    assert [line[-5:].strip() for line in log.read_text().splitlines() if "was there" in line] == ["False", "True"]
    write_frames(process.stdin, encode(Task(job="a" * 32, folder=str(tmp_path / "a"), until=2)))
    assert waits(Ended).state == "done"  # loaded again


def test_memory_is_given_back_where_nothing_is_to_do(worker, tmp_path):
    process, waits, log = worker(idle=0.5)
    write_frames(process.stdin, encode(with_a_model(tmp_path)))
    assert waits(Ended).state == "done"
    until(lambda: "a model was there: True" in log.read_text())


def test_a_card_that_is_lost_ends_the_worker_after_the_job(worker, tmp_path):
    """As after an illegal memory access: everything on the card fails from then on, in this process."""
    more = """
def fails(*_): raise RuntimeError("CUDA error: an illegal memory access was encountered")
w._work, w.card_is_lost = fails, lambda: True
"""
    process, waits, log = worker(more=more)
    write_frames(process.stdin, encode(with_a_model(tmp_path)))
    end = waits(Ended)
    assert end.state == "failed"
    assert end.text.startswith("The graphics card has stopped answering")
    assert "illegal memory access" in end.detail
    assert process.wait(30) == 1
    assert log.read_text().strip().splitlines()[-1].startswith("The graphics card has stopped answering")
