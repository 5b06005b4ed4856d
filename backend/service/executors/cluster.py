"""Jobs on a cluster, through a child process, the gateway, which is replaced when it dies; the jobs go on meanwhile.

What was asked for while there was no gateway is told to the next one: tasks, stops, kills and what is watched.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend.service.executors import Ended, Event, FromGateway, Kill, Ready, Room, Show, Stop, Task
from backend.service.executors.process import Worker
from shared.messages import Message, Trouble
from shared.waker import Waker

GATEWAY = "backend.service.gateway"
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until a gateway that could not connect is replaced: at first, and at most


@dataclass
class Given:
    """A task that the cluster has or will have, and what else was asked."""

    task: Task
    stopped: bool = False
    killed: bool = False
    watched: bool = False

    def commands(self) -> list[Message]:
        """What a gateway must be told that knows nothing."""
        job = self.task.job
        asked: list[Message] = [self.task]
        asked += [Show(job=job, watched=True)] if self.watched else []
        asked += [Stop(job=job)] if self.stopped else []
        return asked + ([Kill(job=job)] if self.killed else [])


class ClusterExecutor:
    """An Executor of as many tasks as the nodes have room for; none before they have told."""

    detached = True

    def __init__(self, address: str, log: Path) -> None:
        self.address, self.log = address, log
        self.trouble = Trouble(text=f"Connecting to the cluster at {address}.")
        self._waker = Waker()
        self._inbox: queue.SimpleQueue[tuple[Worker, FromGateway | None]] = queue.SimpleQueue()
        self._given: dict[str, Given] = {}
        self._places = self._failures = 0
        self._next_start = 0.0
        self._gateway: Worker | None = None
        self._start()

    def has_room(self, device: str) -> bool:
        """Whether a node is free; each job has a card of its own there, whatever it is called here."""
        return len(self._given) < self._places

    def submit(self, task: Task) -> None:
        """Begin a task, or find it again."""
        if task.device.startswith("cuda"):
            task = msgspec.structs.replace(task, device="auto")
        self._given[task.job] = Given(task)
        self._tell(task)

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step."""
        if job in self._given:
            self._given[job].stopped = True
            self._tell(Stop(job=job))

    def kill(self, job: str) -> None:
        """End the job now, without saving."""
        if job in self._given:
            self._given[job].killed = True
            self._tell(Kill(job=job))

    def show(self, job: str, watched: bool) -> None:
        """Tell the job whether somebody watches it."""
        if job in self._given:
            self._given[job].watched = watched
            self._tell(Show(job=job, watched=watched))

    def free_memory(self) -> None:
        """Nothing to do: a process of a node ends with its job."""

    def events(self) -> list[Event]:
        """The events since the last call; a gateway that died is replaced."""
        self._waker.clear()
        events: list[Event] = []
        while not self._inbox.empty():
            gateway, message = self._inbox.get()
            if gateway is not self._gateway:
                continue
            match message:
                case None:
                    self._handle_exit(gateway)
                case Ready():
                    gateway.ready, self._failures, self.trouble = True, 0, Trouble()
                case Room(places=places):
                    self._places = places
                case Trouble():
                    self.trouble = message
                case _:
                    events.append(message)
        for event in events:
            if isinstance(event, Ended):
                self._given.pop(event.job, None)
        if self._gateway is None and time.monotonic() >= self._next_start:
            self._start()
        return events

    def fileno(self) -> int:
        """Can be read when there are events."""
        return self._waker.fileno()

    def close(self) -> None:
        """End the gateway.  The jobs go on, and the next server finds them."""
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.close()
        self._waker.close()

    def _tell(self, message: Message) -> None:
        if self._gateway is not None:
            self._gateway.send(message)

    def _start(self) -> None:
        gateway = (GATEWAY, self.address)
        self._gateway = Worker(self.log, self._inbox, self._waker, command=gateway, kinds=FromGateway)
        for given in self._given.values():
            for command in given.commands():
                self._tell(command)

    def _handle_exit(self, gateway: Worker) -> None:
        """The gateway has died: at once another one if it was connected, else after a pause."""
        gateway.close()
        self._gateway = None
        if gateway.ready:
            self._next_start = 0.0
            self.trouble = Trouble(text=f"The connection to the cluster at {self.address} was lost; connecting again.")
            return
        self._failures += 1
        pause = min(PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        self._next_start = time.monotonic() + pause
        detail = gateway.log_tail()
        why = detail.strip().splitlines()[-1][:400] if detail.strip() else ""
        if not why.startswith("The cluster"):
            why = f"The cluster at {self.address} cannot be used: its gateway {gateway.exit_cause()} ({why})."
        self.trouble = Trouble(text=f"{why} It is tried again in {pause:.0f} s.", detail=detail)
