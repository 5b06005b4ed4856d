"""Renders a list of objects in a worker process that may hang or crash: it costs one object, not the run.

The worker does one object at a time and reports through a pipe.  A worker that takes too long is ended, one that died
is replaced.  Failures are written to `failures.jsonl` and not tried again; delete their lines to try again.
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prior_data.record import Record, file_of, save

Views = tuple[NDArray[np.uint8], NDArray[np.float32]]
STUCK = 60  # times its patience in wall-clock time: enough for very busy machines
OBJECTS_PER_WORKER = 150  # Blender's memory grows with what it has seen
GIVE_UP = 2  # failures after which a family is skipped, if most of its jobs failed


@dataclass(frozen=True)
class Job:
    """An object to render: jobs of one `family` fail together, `what` is passed to the renderer."""

    record: Record
    family: str
    what: tuple[str, ...]


class Worker:
    """A process that renders; `make` is called in it and returns the function that renders a job.

    An object may take `patience` seconds of processor time, not of wall-clock time: on a busy machine a niced process
    waits for minutes without being stuck.
    """

    def __init__(self, make: Callable[[], Callable[[Job], Views]], folder: Path, patience: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, folder, patience), daemon=True)
        self._process.start()
        theirs.close()
        self._patience = patience
        self._done = 0
        try:
            self._pipe.recv()
        except EOFError:
            raise ChildProcessError(f"the worker did not start: see {folder / 'worker.log'}") from None

    def render(self, job: Job) -> str:
        """Render a job; returns why it failed, or "" if the object's file was written."""
        self._done += 1
        try:
            self._pipe.send(job)
            if self._pipe.poll(STUCK * self._patience):
                return str(self._pipe.recv())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            if self._process.exitcode == -signal.SIGXCPU:
                return f"took over {self._patience:.0f} s of processor time"
            return f"the worker died with exit code {self._process.exitcode}"
        self._process.kill()
        self._process.join()
        return f"no answer for {STUCK * self._patience:.0f} s"

    @property
    def alive(self) -> bool:
        """Whether the process is running and has not done its share of objects."""
        return self._process.is_alive() and self._done < OBJECTS_PER_WORKER

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, make: Callable[[], Callable[[Job], Views]], folder: Path, patience: float) -> None:
    """The worker's side: render what comes through the pipe until it closes."""
    log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    render = make()
    pipe.send("started")
    with contextlib.suppress(EOFError):
        while True:
            job: Job = pipe.recv()
            # Beyond this limit the system sends SIGXCPU, which ends the process.
            until = math.ceil(time.process_time() + patience)
            resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
            try:
                save(folder, job.record, *render(job))
                pipe.send("")
            except Exception as error:  # generators may raise anything
                pipe.send(f"{type(error).__name__}: {error}"[:300])


def left_to_do(jobs: Sequence[Job], folder: Path, have: set[str]) -> list[Job]:
    """The jobs that are neither in `have`, nor rendered, nor failed before."""
    done = have | {failure["source"] for failure in _failures(folder)}
    return [job for job in jobs if job.record.source not in done and not file_of(folder, job.record.source).exists()]


def run(
    jobs: Sequence[Job],
    make: Callable[[], Callable[[Job], Views]],
    folder: Path,
    have: set[str],
    minutes: float,
    patience: float,
) -> None:
    """Render the remaining jobs in order into `folder`; prints source, seconds, outcome.

    No object is begun after `minutes`; one that takes more than `patience` seconds of processor time has failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * minutes
    failed = Counter(failure["family"] for failure in _failures(folder))
    rendered = Counter(job.family for job in jobs if file_of(folder, job.record.source).exists())
    worker = Worker(make, folder, patience)
    for job in left_to_do(jobs, folder, have):
        if time.monotonic() > end:
            break
        if failed[job.family] >= GIVE_UP and failed[job.family] > rendered[job.family]:
            continue
        if not worker.alive:
            worker.end()
            worker = Worker(make, folder, patience)
        began = time.monotonic()
        reason = worker.render(job)
        seconds = round(time.monotonic() - began, 1)
        print(f"{job.record.source}\t{seconds}\t{reason or 'ok'}", flush=True)
        if reason:
            _note_failure(folder, job, reason, seconds)
        (failed if reason else rendered)[job.family] += 1
    worker.end()


def _failures(folder: Path) -> list[dict[str, str]]:
    file = folder / "failures.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def _note_failure(folder: Path, job: Job, reason: str, seconds: float) -> None:
    line = asdict(job.record) | {"family": job.family, "reason": reason, "seconds": seconds}
    with (folder / "failures.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
