"""Jobs on a Ray cluster: a detached actor each, which outlives us and is found again by the run's id.

Only the gateway imports this, and the nodes, as the class of the actors is here.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import ray

from backend.service.executors import Ended, Event, FromNode, Task, Unfit
from backend.service.executors.ray_nodes import NAMESPACE, Nodes
from backend.service.executors.remote_job import RemoteJob
from backend.service.outcome import read_outcome
from shared.codec import Frame, decode, encode
from shared.messages import Message
from shared.waker import Waker

PATIENCE = 10.0  # seconds
CALLS = 32  # threads of an actor: a question of a gateway that has died takes one for a while
LOSSES, PAUSE = 10, 1.0  # of a job in a row, without a process that tells anything, until it fails; seconds between
GONE = "The cluster has ended the job again and again; “Continue” goes on from its last checkpoint."
CANNOT_LOAD = "A node cannot load Splatsmith: install it there as on the server, with pip install 'splatsmith[ray]'."

log = logging.getLogger(__name__)


class OneJob(RemoteJob):
    """The actor."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        super().__init__(frames, ray.get_runtime_context().get_node_id())

    def leave(self) -> None:
        """End this actor, so that it is not started again."""
        ray.kill(ray.get_actor(self.task.run, NAMESPACE), no_restart=True)


class Following:
    """A job that we follow: its actor, and what it was told and has told."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.actor: Any = None
        self.life, self.seen = "", 0  # of its process
        self.stopped = self.watched = self.killed = False
        self.losses, self.again = 0, math.inf  # in a row, and when it is looked for again
        self.unfit: dict[str, str] = {}  # nodes that cannot run it, and why


class RayJobs:
    """Follows jobs on the cluster that ray is connected to."""

    def __init__(self) -> None:
        self.waker = Waker()
        self.nodes = Nodes(lambda ref, node: self._call(ref, "", node))
        self._heard: queue.SimpleQueue[tuple[str, str, Future[Any]]] = queue.SimpleQueue()
        self._jobs: dict[str, Following] = {}
        self._events: list[Event] = []

    def submit(self, task: Task) -> None:
        """Begin a task, or find it again, or how it has ended."""
        if (ended := read_outcome(task)) is not None:
            self._events.append(ended)
            self.waker.wake()
            return
        self._jobs[task.job] = Following(task)
        self._place(self._jobs[task.job])

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step; asked again of a new process."""
        if job in self._jobs:
            self._jobs[job].stopped = True
            self._jobs[job].actor.stop.remote()

    def show(self, job: str, watched: bool) -> None:
        """Tell the job whether somebody watches it."""
        if job in self._jobs:
            self._jobs[job].watched = watched
            self._jobs[job].actor.show.remote(watched)

    def kill(self, job: str) -> None:
        """End the job now, without saving."""
        if job in self._jobs:
            following = self._jobs[job]
            following.killed = True
            ray.kill(following.actor, no_restart=True)
            if following.again < math.inf:  # it has no process, and is to get none
                self._end(following, Ended(job=job, state="stopped"))

    def events(self) -> list[Event]:
        """The events since the last call; never waits."""
        self.waker.clear()
        while not self._heard.empty():
            job, node, future = self._heard.get()
            if node:
                self._hear_node(node, future)
            elif job in self._jobs:
                self._hear_job(self._jobs[job], future)
        for lost in [following for following in self._jobs.values() if following.again <= time.monotonic()]:
            lost.again = math.inf
            self._place(lost)
        events, self._events = self._events, []
        return events

    def _place(self, job: Following) -> None:
        """Find the actor of a job or start it, on no node that is known to be unfit."""
        avoid = {*self.nodes.misfits(), *job.unfit}
        options: dict[str, Any] = {"label_selector": {"ray.io/node-id": f"!in({','.join(avoid)})"}} if avoid else {}
        kind: Any = ray.remote(OneJob).options(
            name=job.task.run, namespace=NAMESPACE, lifetime="detached", get_if_exists=True,
            max_restarts=-1, max_task_retries=-1, max_concurrency=CALLS, **self.nodes.per_job, **options,
        )  # fmt: skip
        job.actor = kind.remote([bytes(frame) for frame in encode(job.task)])
        self._ask(job)

    def _ask(self, job: Following) -> None:
        self._call(job.actor.events.remote(job.life, job.seen), job.task.job, "")

    def _call(self, ref: Any, job: str, node: str) -> None:
        """Hear of an answer when it comes."""

        def answered(future: Future[Any]) -> None:
            self._heard.put((job, node, future))
            self.waker.wake()

        ref.future().add_done_callback(answered)

    def _hear_node(self, node: str, future: Future[Any]) -> None:
        try:
            self.nodes.told(node, future.result())
        except ray.exceptions.RayError:
            self.nodes.forget(node)

    def _hear_job(self, job: Following, future: Future[Any]) -> None:
        try:
            life, news = future.result()
        except ray.exceptions.RayActorError as error:
            self._handle_loss(job, str(error))
            return
        except ray.exceptions.RayError as error:
            self._end(job, Ended(job=job.task.job, state="failed", text=CANNOT_LOAD, detail=str(error)[-4000:]))
            return
        if life != job.life:
            self._begin_life(job, life)
        for number, frames in news:
            job.seen = max(job.seen, number)
            message: Message = decode(frames, FromNode)
            if isinstance(message, Ended):
                self._end(job, message)
                return
            if isinstance(message, Unfit):
                self._move(job, message)
                return
            self._events.append(message)  # type: ignore[arg-type]  # Begun is not sent
        self._ask(job)

    def _begin_life(self, job: Following, life: str) -> None:
        """Another process has the job: it knows nothing of what the one before was told."""
        job.life, job.seen, job.losses = life, 0, 0
        if job.stopped:
            job.actor.stop.remote()
        if job.watched:
            job.actor.show.remote(True)

    def _handle_loss(self, job: Following, detail: str) -> None:
        """The actor is gone, or out of reach: unless it was meant to be, look for it, or start it, again.

        Ray itself starts one again whose process or node has died, but not one that was lost while it was placed.
        """
        name, job.losses = job.task.job, job.losses + 1
        if (ended := read_outcome(job.task)) is not None:
            self._end(job, ended)
        elif job.killed:
            self._end(job, Ended(job=name, state="stopped"))
        elif job.losses > LOSSES:
            self._end(job, Ended(job=name, state="failed", text=GONE, detail=detail[-4000:]))
        else:
            log.warning("job %s was lost and is looked for again: %s", name, detail)
            job.life, job.again = "", time.monotonic() + PAUSE

    def _move(self, job: Following, unfit: Unfit) -> None:
        """Try another node; where there is none, the job fails."""
        job.unfit[unfit.node] = unfit.text
        ray.kill(job.actor, no_restart=True)
        if self.nodes.all_among({*job.unfit, *self.nodes.misfits()}):
            self._end(job, Ended(job=unfit.job, state="failed", text=unfit.text))
            return
        _wait_until_gone(job.task.run)
        job.life, job.seen = "", 0
        self._place(job)

    def _end(self, job: Following, ended: Ended) -> None:
        """Tell how a job has ended, and free what it holds."""
        del self._jobs[job.task.job]
        self._events.append(ended)
        ray.kill(job.actor, no_restart=True)


def _wait_until_gone(name: str) -> None:
    """Wait until an actor that was killed has given up its name, which the next one is to have."""
    deadline = time.monotonic() + PATIENCE
    with suppress(ValueError):  # there is none
        while time.monotonic() < deadline:
            ray.get_actor(name, NAMESPACE)
            time.sleep(0.05)
