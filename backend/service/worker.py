"""The process that holds the GPU: python -m backend.worker, commands on its standard input, events on its output.

It keeps its models between jobs.  It dies with whoever started it: when its input ends it leaves at once, so that no
other process finds it writing in a job's folder.  An exception costs one job; the process goes on to the next.
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
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import torch

from backend.cameras import orbit
from backend.errors import UserError, sentence_of
from backend.run.assemble import choose_device, open_kit
from backend.run.distill import DivergedError, show
from backend.run.events import Event
from backend.run.folder import JobFolder
from backend.run.memory import is_out_of_memory, memory_advice
from backend.run.session import Session
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings
from backend.service.as_messages import matrix, news
from backend.service.executors import Begun, Command, Ended, Finishing, Ready, Started, Stop, Task
from backend.service.executors.pipes import read_frames, write_frames
from shared.codec import decode, encode
from shared.messages import Message

SHOW_SECONDS = 0.2
LONGEST, LONGEST_DETAIL = 2000, 8000  # characters of a sentence and of a traceback

log = logging.getLogger(__name__)
Send = Callable[[Message], None]
Outcome = Literal["done", "stopped"]


class Orders:
    """The tasks that come, and whether the end of the one under way was asked for."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._stopped: set[str] = set()
        threading.Thread(target=self._listen, args=(pipe,), daemon=True).start()

    def stopped(self, job: str) -> bool:
        """Whether to end this job after the step under way."""
        return job in self._stopped

    def _listen(self, pipe: IO[bytes]) -> None:
        while (frames := read_frames(pipe)) is not None:
            order: Command = decode(frames, Command)
            if isinstance(order, Stop):
                self._stopped.add(order.job)
            else:
                self._stopped.discard(order.job)
                self.tasks.put(order)
        os._exit(0)  # whoever started us is gone


def main() -> None:
    """Take tasks until the input ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the server's terminal is the server's to answer
    orders, output = Orders(_own_input()), _own_output()

    def send(message: Message) -> None:
        write_frames(output, encode(message))

    _warm_up()
    send(Ready())
    while True:
        run_task(orders.tasks.get(), orders, send)


def run_task(task: Task, orders: Orders, send: Send) -> None:
    """Do one task and tell how it ended: the border at which whatever goes wrong becomes a sentence."""
    try:
        send(Begun(job=task.job))
        send(Ended(job=task.job, state=_work(task, orders, send)))
    except BrokenPipeError:
        os._exit(0)
    except UserError as error:
        send(_failed(task, str(error)))
    except OSError as error:
        send(_failed(task, sentence_of(error, task.folder), traceback.format_exc()))
    except Exception as error:
        if is_out_of_memory(error):
            torch.cuda.empty_cache()
            send(_failed(task, memory_advice(), traceback.format_exc()))
            return
        log.exception("job %s", task.job)
        text = f"The job stopped at an error of the program ({type(error).__name__}: {error}): see the log."
        send(_failed(task, text, traceback.format_exc()))


def _failed(task: Task, text: str, detail: str = "") -> Ended:
    """The end of a job that went wrong; what programs say can be longer than a message may be."""
    return Ended(job=task.job, state="failed", text=text[:LONGEST], detail=detail[-LONGEST_DETAIL:])


def _work(task: Task, orders: Orders, send: Send) -> Outcome:
    """From the start, or from the checkpoint, to the results."""
    folder = JobFolder(Path(task.folder))
    started = (folder / "checkpoint.safetensors").exists()
    session = Session.resume(folder) if started else Session(folder.job(), folder)
    to_scene = matrix(session.to_scene)
    send(Started(job=task.job, step=session.run.step, to_scene=to_scene))

    def tell(event: Event) -> None:
        if (message := news(event, task.job, to_scene)) is not None:
            send(message)

    def told(happened: Iterator[Event]) -> bool:
        """Send what happens; whether it went on to its end."""
        for event in happened:
            tell(event)
            if orders.stopped(task.job):
                return False
        return True

    try:
        told(session.steps(task.until, SHOW_SECONDS))
    except DivergedError as error:
        session.rescue()
        raise UserError(f"{error} Its splats up to there are kept; run it again with another seed.") from error
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            session.rescue()
        raise
    session.save()
    if session.run.step < task.until:
        for event in show(session.run):
            tell(event)
        return "stopped"
    send(Finishing(job=task.job))
    return "done" if told(session.results()) else "stopped"


def _warm_up() -> None:
    """Open the kit that ships and compile the renderer, so that the first job finds both ready."""
    device = choose_device("auto")
    with suppress(UserError):  # the job that needs it is told; others may have priors of their own
        open_kit()
    scene = SplatScene(sphere(16, 0.5, torch.Generator()), SplatSettings(), 1, device)
    scene.render(orbit(1), 32, 32, torch.ones(1, 3)).rgb.sum().backward()  # type: ignore[no-untyped-call]


def _own_input() -> IO[bytes]:
    """Our standard input without Python's buffer: at an exit its lock, held by the thread that reads, is fatal."""
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)


def _own_output() -> IO[bytes]:
    """Our standard output for ourselves; what others print goes to the log, and does not end up between messages."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


if __name__ == "__main__":
    main()
