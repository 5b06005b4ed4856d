"""The far side of a cluster: one job in a process of its own on some node.  It knows nothing of the cluster's library.

What it has to tell waits here, numbered, until the gateway says what it has seen; older news that newer news replaces
is dropped.  How the job ended is in its folder before anybody is told.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Hashable, Sequence
from pathlib import Path

import msgspec

from backend.errors import UserError, sentence_of
from backend.service.executors import Begun, Ended, Task, Unfit
from backend.service.versions import code_version, prior_version
from shared.codec import Frame, decode, encode
from shared.message_queue import replacement_key
from shared.messages import Message, Warning

WAIT = 5.0  # seconds that a question waits for news
LINGER = 20.0  # seconds until a process whose job has ended frees its card, if nobody asks
SHARED_SECONDS = 5.0  # until a job's folder must be seen here: network drives take a moment
TRIES = 3  # deaths without getting further, until a job fails
JOBS = "SPLATSMITH_JOBS"  # in a node's environment: the folder of the jobs, where it is not the server's path
LOST = "The process of this job was lost with its machine or was ended; it goes on from its last checkpoint."
DIED = f"The job's process has died {TRIES} times without getting further; “Continue” goes on from its last checkpoint."

News = tuple[str, list[tuple[int, list[bytes]]]]  # the life of the process, and its numbered messages


class RemoteJob:
    """Begins at once; `events` is asked again and again until Ended has come, by threads of the cluster's library."""

    def __init__(self, frames: Sequence[Frame], node: str = "") -> None:
        task: Task = decode(frames, Task)
        if JOBS in os.environ:
            task = msgspec.structs.replace(task, folder=str(Path(os.environ[JOBS]) / Path(task.folder).name))
        self.task, self.node, self.life = task, node, secrets.token_hex(8)
        self._stopped = self._watched = self._acknowledged = False
        self._serial, self._end = 0, 0  # the numbers of the last message and of the one that is the end
        self._news: dict[Hashable, tuple[int, list[bytes]]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Stop after the current step."""
        self._stopped = True

    def show(self, watched: bool) -> None:
        """Whether somebody watches the job."""
        self._watched = watched

    def stopped(self, job: str) -> bool:
        """What the run asks."""
        return self._stopped

    def watched(self, job: str) -> bool:
        """What the run asks."""
        return self._watched

    def events(self, life: str, seen: int) -> News:
        """What has come after the message `seen` of this life of the process; waits a while for something."""
        with self._changed:
            if life == self.life:
                self._news = {key: news for key, news in self._news.items() if news[0] > seen}
                self._acknowledged = 0 < self._end <= seen
            self._changed.wait_for(lambda: self._news, WAIT)
            return self.life, list(self._news.values())

    def leave(self) -> None:
        """Free the card; the cluster's library ends the process."""

    def _put(self, message: Message) -> None:
        if isinstance(message, Begun):
            return
        frames = [bytes(frame) for frame in encode(message)]
        with self._changed:
            self._serial += 1
            if isinstance(message, Ended | Unfit):
                self._end = self._serial
            key = replacement_key(message)  # type: ignore[arg-type]  # our own messages replace nothing
            self._news.pop(key, None)
            self._news[key] = self._serial, frames
            self._changed.notify_all()

    def _run(self) -> None:
        """Runs in a thread: the job, then a while in which its end can be fetched."""
        try:
            if reason := unfit(self.task):
                self._put(Unfit(job=self.task.job, node=self.node, text=reason))
            else:
                self._do()
        except OSError as error:
            self._put(Ended(job=self.task.job, state="failed", text=sentence_of(error, self.task.folder)))
        except UserError as error:
            self._put(Ended(job=self.task.job, state="failed", text=str(error)))
        finally:
            deadline = time.monotonic() + LINGER
            while not self._acknowledged and time.monotonic() < deadline:
                time.sleep(0.1)
            self.leave()

    def _do(self) -> None:
        from backend.service import outcome

        if (ended := outcome.read_outcome(self.task)) is not None:
            self._put(ended)
            return
        from backend.run.folder import JobFolder
        from backend.service.worker import run_task

        folder = JobFolder(Path(self.task.folder))

        def send(message: Message) -> None:
            if isinstance(message, Ended):
                outcome.write_outcome(folder.fence, self.task.run, message)
            self._put(message)

        deaths = outcome.count_death(self.task)
        if deaths is not None:
            self._put(Warning(job=self.task.job, text=LOST))
        if (deaths or 0) >= TRIES:
            send(Ended(job=self.task.job, state="failed", text=DIED))
            return
        self._stopped = self._stopped or outcome.asked_to_stop(self.task)
        run_task(self.task, self, send, folder)


def unfit(task: Task) -> str:
    """Why this machine cannot run the task: a sentence, or ""."""
    here, file = socket.gethostname(), Path(task.folder) / "job.json"
    deadline = time.monotonic() + SHARED_SECONDS
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    if not file.exists():
        return (
            f"The node {here} does not see {task.folder}: mount the folder of the jobs there, or name it in the node's "
            f"environment as {JOBS}."
        )
    if task.code != code_version():
        return f"The node {here} has Splatsmith {code_version()}, the server {task.code}: install the same on both."
    from backend.run.folder import JobFolder

    prior = JobFolder(Path(task.folder)).job().prior
    found = prior_version(prior)
    if task.prior and not found:
        return f"The node {here} does not have the prior {prior}: put it on the shared drive, or there too."
    if task.prior != found:
        return f"The node {here} has another version of the prior {prior} than the server: copy it there again."
    return ""
