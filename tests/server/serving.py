"""Real servers in processes of their own, and clients of them."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import zmq

from blender_addon.net.client import Client
from blender_addon.shared import messages as m
from shared.codec import decode_answer, encode
from tests.small import MESH

ROOT = Path(__file__).parents[2]
QUICK = {"views": 1, "splats": {"initial_count": 400, "growth": "none"}, "mesh": MESH, "checkpoint_every": 1}
IMPATIENT = """
import sys
from backend.cli.main import main
from backend.service import server
server.SILENCE = float(sys.argv.pop(1))
sys.exit(main())
"""
PATIENCE = 300.0  # seconds; the machine may be busy


class Backend:
    """`python -m backend serve` and where it listens."""

    def __init__(self, jobs, where=("--port", "0"), silence=60.0, **environment):
        folders = ["--jobs", str(jobs), "--kits", f"{jobs}-kits"]  # not the kits of whoever runs the tests
        start = [sys.executable, "-c", IMPATIENT, str(silence)] if silence < 60 else [sys.executable, "-m", "backend"]
        command = [*start, "serve", *folders, *where]
        self.jobs = jobs
        env = {**os.environ, **environment}
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env)
        line = self.process.stdout.readline()
        self.port = re.search(r":(\d+);", line)[1]
        self.key = self.process.stdout.readline().strip().partition("preferences: ")[2] if "--listen" in where else ""

    @property
    def worker(self):
        """The process of the worker, once it is there."""
        return until(lambda: next(iter(psutil.Process(self.process.pid).children()), None))

    def end(self):
        """Stop as a user does, and see that nothing is left."""
        family = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        self.process.terminate()
        assert self.process.wait(30) == 0
        assert not any(psutil.pid_exists(member.pid) for member in family)


@contextmanager
def serving(jobs, *where, **options):
    """A server while the block runs."""
    backend = Backend(jobs, where or ("--port", "0"), **options)
    try:
        yield backend
    finally:
        backend.end()


class Person:
    """A client that keeps every message it received."""

    def __init__(self, backend):
        self.client = Client(f"127.0.0.1:{backend.port}", backend.key)
        self.heard = []
        self.client.start()

    def listen(self):
        self.heard += self.client.receive()

    def waits(self, kind, job=None, **fields):
        """The first message of a kind with these fields, of those heard so far or to come."""

        def found():
            self.listen()
            return next((message for message in self.heard if _fits(message, kind, job, fields)), None)

        return until(found)

    def asks(self, message):
        """Send, and listen from here on alone."""
        self.listen()
        self.heard.clear()
        self.client.send(message)

    def generates(self, steps, mesh=None, **fields):
        """Ask for a job and watch it; its id."""
        job = m.new_job_id()
        recipe = QUICK | {"steps": steps} | fields.pop("recipe", {})
        self.client.send(m.Watch(jobs=(job,)))
        self.asks(m.Generate(job=job, fields={"prompt": "a red apple", "recipe": recipe, **fields}, mesh=mesh))
        return job


def _fits(message, kind, job, fields):
    of_job = job is None or getattr(message, "job", None) == job
    return isinstance(message, kind) and of_job and all(getattr(message, key) == fields[key] for key in fields)


def until(found):
    """Ask until there is an answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.002)
    raise AssertionError("nothing came")


class Stranger:
    """A bare socket that sends what it likes."""

    def __init__(self, port, context, **options):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def says(self, *frames):
        self.socket.send_multipart(frames)

    def sends(self, message):
        self.says(*encode(message))

    def hears(self, seconds=PATIENCE):
        """The next answer, None where none comes."""
        return decode_answer(self.socket.recv_multipart()) if self.socket.poll(1000 * seconds) else None


def metrics(jobs, job):
    return json.loads((jobs / job / "metrics.json").read_text())


def gone(pid):
    """Whether a process has ended; a dead child that nobody waited for has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(process):
    """As `kill -9` does."""
    os.kill(process.pid, 9)
