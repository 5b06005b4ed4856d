"""The worker process: python -m backend.service.worker, with commands on standard input and events on standard output.

It keeps its models between jobs.  When its input ends, its parent is gone and it exits at once, so that it does not
write into a job's folder that another process has taken over.  An exception fails one job, not the process.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Literal, Protocol

import msgspec
import torch

from backend.cameras import orbit
from backend.errors import UserError, sentence_of
from backend.job.job import Job
from backend.run.assemble import open_kit
from backend.run.devices import choose_device, splats_device, unused_card
from backend.run.distill import DivergedError
from backend.run.events import Event
from backend.run.folder import JobFolder
from backend.run.large_prior import fetch_prior, unload_large_prior
from backend.run.memory import card_is_lost, is_out_of_memory, memory_advice
from backend.run.session import Session
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings
from backend.service.as_messages import event_message, matrix
from backend.service.executors import Begun, Command, Ended, Finishing, Free, Ready, Show, Started, Stop, Task
from backend.service.executors.pipes import read_frames, write_frames
from shared.codec import decode, encode
from shared.messages import Message, Progress, Warning
from shared.models import size_text

SHOW_SECONDS = 0.2
IDLE_SECONDS = 600.0  # until the models of the last job are given up, so that Cycles has the card
LOST = "The graphics card has stopped answering, so the worker ends and another one is started."
LONGEST, LONGEST_DETAIL = 2000, 8000  # characters of a sentence and of a traceback

log = logging.getLogger(__name__)
Send = Callable[[Message], None]
Outcome = Literal["done", "stopped"]


class Asked(Protocol):
    """What is asked of a task while it runs."""

    def stopped(self, job: str) -> bool:
        """Whether to stop this job after the current step."""

    def watched(self, job: str) -> bool:
        """Whether somebody watches this job."""


class Commands:
    """The commands that have come: what to do, and jobs that are to stop."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._waiting: queue.SimpleQueue[Task | Free] = queue.SimpleQueue()
        self._stopped: set[str] = set()
        self._watched: set[str] = set()
        threading.Thread(target=self._listen, args=(pipe,), daemon=True).start()

    def next(self) -> Task | Free:
        """What to do next; to give memory back, where there is nothing else for IDLE_SECONDS."""
        try:
            return self._waiting.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return Free()

    def stopped(self, job: str) -> bool:
        """Whether to stop this job after the current step."""
        return job in self._stopped

    def watched(self, job: str) -> bool:
        """Whether somebody watches this job."""
        return job in self._watched

    def _listen(self, pipe: IO[bytes]) -> None:
        while (frames := read_frames(pipe)) is not None:
            command: Command = decode(frames, Command)
            if isinstance(command, Stop):
                self._stopped.add(command.job)
                continue
            if isinstance(command, Show):
                (self._watched.add if command.watched else self._watched.discard)(command.job)
                continue
            if isinstance(command, Task):
                self._stopped.discard(command.job)
                self._watched.clear()
            self._waiting.put(command)
        os._exit(0)  # our parent is gone


def main() -> None:
    """Take tasks until the input ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the server to handle
    commands, output = Commands(_own_input()), _own_output()

    def send(message: Message) -> None:
        write_frames(output, encode(message))

    _warm_up()
    send(Ready())
    while True:
        match commands.next():
            case Task() as task:
                run_task(task, commands, send)
            case Free():
                unload_large_prior()


def run_task(task: Task, asked: Asked, send: Send, folder: JobFolder | None = None) -> None:
    """Do one task and send how it ended; every exception becomes a sentence here.  `folder` is the task's, opened."""
    try:
        send(Begun(job=task.job))
        send(Ended(job=task.job, state=_work(task, asked, send, folder or JobFolder(Path(task.folder)))))
    except BrokenPipeError:
        os._exit(0)
    except UserError as error:
        send(_failed(task, str(error)))
    except OSError as error:
        send(_failed(task, sentence_of(error, task.folder), traceback.format_exc()))
    except Exception as error:
        if card_is_lost():
            send(_failed(task, f"{LOST} “Continue” goes on from the last checkpoint.", traceback.format_exc()))
            sys.exit(LOST)
        if is_out_of_memory(error):
            torch.cuda.empty_cache()
            send(_failed(task, memory_advice(), traceback.format_exc()))
            return
        log.exception("job %s", task.job)
        text = f"The job failed because of a fault in the program ({type(error).__name__}: {error}): see the log."
        send(_failed(task, text, traceback.format_exc()))


def _failed(task: Task, text: str, detail: str = "") -> Ended:
    """The end of a failed job, its texts cut to the limits of a message."""
    return Ended(job=task.job, state="failed", text=text[:LONGEST], detail=detail[-LONGEST_DETAIL:])


def _work(task: Task, asked: Asked, send: Send, folder: JobFolder) -> Outcome:
    """Run a job from its start or its checkpoint to its results."""
    job = folder.job()
    if task.device:
        job = msgspec.structs.replace(job, device=task.device)
    if not _fetch(job, task, asked, send):
        return "stopped"
    session = Session(job, folder, resume=(folder / "checkpoint.safetensors").exists())
    to_scene = matrix(session.to_scene)
    send(Started(job=task.job, step=session.step, to_scene=to_scene))

    def send_event(event: Event) -> None:
        if (message := event_message(event, task.job, to_scene)) is not None:
            send(message)

    def send_all(events: Iterator[Event]) -> bool:
        """Send the events until the job is to stop; whether all were sent."""
        for event in events:
            send_event(event)
            if asked.stopped(task.job):
                return False
        return True

    try:
        send_all(session.steps(task.until, SHOW_SECONDS, lambda: asked.watched(task.job)))
    except DivergedError as error:
        session.rescue()
        raise UserError(f"{error} The splats up to that step are saved; try another seed.") from error
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            session.rescue()
        raise
    session.save()
    if session.step < task.until:
        for event in session.pictures():
            send_event(event)
        return "stopped"
    send(Finishing(job=task.job))
    with closing(session.results()) as results:  # stopped in between, it keeps the mesh as far as it is refined
        return "done" if send_all(results) else "stopped"


def _fetch(job: Job, task: Task, asked: Asked, send: Send) -> bool:
    """Download the job's model if it is not here, with the time that it takes; whether the job goes on."""
    told = False
    for news in fetch_prior(job):
        if asked.stopped(task.job):
            return False
        if news.total and not told:
            told = True
            text = f"{job.prior} is downloaded first: {size_text(news.total - news.bytes)}, once."
            send(Warning(job=task.job, text=text))
        if news.left is not None:
            metrics = {"downloaded": float(news.bytes), "of": float(news.total)}
            send(Progress(job=task.job, step=0, of=task.until, seconds_left=news.left, metrics=metrics))
    return True


def _warm_up() -> None:
    """Load the shipped kit and compile the renderer, so that the first job does not wait for them."""
    device, reasons = splats_device(choose_device("auto"))
    for reason in reasons:
        log.warning(reason)
    for sentence in unused_card():
        log.warning(sentence)
    with suppress(UserError):  # a job that needs it reports the error; others may use another prior
        open_kit()
    scene = SplatScene(sphere(16, 0.5, torch.Generator()), SplatSettings(), 1, device)
    scene.render(orbit(1), 32, 32, torch.ones(1, 3)).rgb.sum().backward()  # type: ignore[no-untyped-call]


def _own_input() -> IO[bytes]:
    """Standard input without Python's buffer, whose lock, held by the reading thread, would be fatal at exit."""
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)


def _own_output() -> IO[bytes]:
    """Standard output for messages only; what libraries print goes to standard error instead."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


if __name__ == "__main__":
    main()
