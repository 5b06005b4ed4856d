"""Several worker processes on this machine, each with room for one task: one a graphics card, or some on the CPU.

A worker whose process cannot start gets no tasks while another one can.  A task that it has not begun waits for the
first of the others that is free.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from backend.service.executors import Ended, Event, Task
from backend.service.executors.local import PATIENCE, LocalExecutor
from backend.service.places import Place
from shared.messages import Trouble
from shared.waker import Waker


class SeveralWorkers:
    """An Executor.  The first worker starts at once, the others with their first task.

    What they print goes to `log` and to files beside it with their numbers.
    """

    def __init__(self, log: Path, places: Sequence[Place]) -> None:
        self.places, self.trouble = places, Trouble()
        self._waker = Waker()
        self._workers = [
            LocalExecutor(_log_of(log, number), place.environment, self._waker, at_once=number == 0)
            for number, place in enumerate(places)
        ]
        self._tasks: dict[str, tuple[Task, LocalExecutor]] = {}
        self._waiting: dict[str, Task] = {}  # taken back from workers that cannot start
        self._events: list[Event] = []  # our own
        self._troubles: list[Trouble] = []  # what `trouble` was made of

    detached = False

    def has_room(self, device: str) -> bool:
        """Whether a worker is free that can take such a task; where no worker can, it is refused at once."""
        usable = self._usable(device)
        return not usable or (not self._waiting and any(not worker.busy for worker in usable))

    def submit(self, task: Task) -> None:
        """Begin a task on the first worker that is free, or refuse it where none is for its device."""
        worker = next((worker for worker in self._usable(task.device) if not worker.busy), None)
        if worker is None:
            names = ", ".join(place.device for place in self.places)
            text = f"device: this server has no worker for {task.device}; use auto, or one of those it has ({names})."
            self._end(Ended(job=task.job, state="failed", text=text))
            return
        self._tasks[task.job] = task, worker
        name_here = self.places[self._workers.index(worker)].name_here(task.device)
        worker.submit(msgspec.structs.replace(task, device=name_here))

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step."""
        if self._waiting.pop(job, None) is not None:
            self._end(Ended(job=job, state="stopped"))
        if job in self._tasks:
            self._tasks[job][1].stop(job)

    def kill(self, job: str) -> None:
        """End the job now by ending its process."""
        if job in self._tasks:
            self._tasks[job][1].kill(job)

    def show(self, job: str, watched: bool) -> None:
        """Tell the job's worker whether somebody watches it."""
        if job in self._tasks:
            self._tasks[job][1].show(job, watched)

    def free_memory(self) -> None:
        """Have each process give back the memory of its models."""
        for worker in self._workers:
            worker.free_memory()

    def events(self) -> list[Event]:
        """The events of all since the last call."""
        self._waker.clear()
        events, self._events = self._events, []
        for worker in self._workers:
            events += worker.collect()
        for event in events:
            if isinstance(event, Ended):
                self._tasks.pop(event.job, None)
        self._move_waiting()
        self._sum_up()
        return events

    def fileno(self) -> int:
        """Can be read when there are events."""
        return self._waker.fileno()

    def close(self) -> None:
        """Let all current steps end and be saved, if they are quick; then end the processes."""
        for worker in self._workers:
            worker.stop_all()
        deadline = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.end(deadline)
        self._waker.close()

    def _usable(self, device: str) -> list[LocalExecutor]:
        """The workers for a device: those that work, or all where none does."""
        fit = [worker for place, worker in zip(self.places, self._workers, strict=True) if place.takes(device)]
        return [worker for worker in fit if not worker.trouble.text] or fit

    def _end(self, ended: Ended) -> None:
        self._events.append(ended)
        self._waker.wake()

    def _move_waiting(self) -> None:
        """Take tasks back from processes that cannot start, if others can; and begin those that wait."""
        for task, worker in list(self._tasks.values()):
            if worker not in self._usable(task.device) and worker.withdraw() is not None:
                del self._tasks[task.job]
                self._waiting[task.job] = task
        for task in list(self._waiting.values()):
            if any(not worker.busy for worker in self._usable(task.device)):
                del self._waiting[task.job]
                self.submit(task)

    def _sum_up(self) -> None:
        """Make `trouble` of the troubles of all, if one has changed."""
        troubles = [worker.trouble for worker in self._workers]
        if all(new is old for new, old in zip(troubles, self._troubles, strict=False)) and self._troubles:
            return
        self._troubles = troubles
        bad = [number for number, trouble in enumerate(troubles) if trouble.text]
        if not bad:
            self.trouble = Trouble() if self.trouble.text else self.trouble
            return
        first = troubles[bad[0]]
        where = ", ".join(f"{number + 1} on {self.places[number].device}" for number in bad)
        rest = " The others go on." if len(bad) < len(troubles) else ""
        text = f"{len(bad)} of {len(troubles)} workers cannot work (number {where}): {first.text}{rest}"
        self.trouble = Trouble(text=text, detail=first.detail)


def _log_of(log: Path, number: int) -> Path:
    return log if number == 0 else log.with_stem(f"{log.stem}-{number + 1}")
