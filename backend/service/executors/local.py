"""One worker process on this machine, replaced when it dies: at once if it was working, else after a pause.

A process that dies before it begins a task would probably die again.  Each such death makes the pause longer and is
reported as `trouble`; after a few, a waiting task fails.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Mapping
from pathlib import Path

from backend.service.executors import Begun, Ended, Event, Free, FromWorker, Ready, Show, Stop, Task
from backend.service.executors.process import Worker
from shared.messages import Trouble
from shared.waker import Waker

TRIES = 3  # deaths in a row until a waiting task fails
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until a process that did nothing is replaced: at first, and at most
PROVEN = 60.0  # seconds; a process that waited this long was able to work
PATIENCE = 3.0  # seconds for the current step when the executor is closed
REASON = 300  # characters of a log's last line that we quote


class LocalExecutor:
    """An Executor with room for one task.

    The worker starts at once, so that its models are loaded when the first task comes; with `at_once` false it starts
    with the first task.  `environment` is added to that of the worker.
    """

    def __init__(
        self, log: Path, environment: Mapping[str, str] | None = None, waker: Waker | None = None, at_once: bool = True
    ) -> None:
        self.log, self.environment = log, environment
        self.trouble = Trouble()
        self._waker = waker or Waker()
        self._inbox: queue.SimpleQueue[tuple[Worker, FromWorker | None]] = queue.SimpleQueue()
        self._task: Task | None = None
        self._begun = self._stopped = self._watched = False  # of the task
        self._events: list[Event] = []  # not fetched yet
        self._deaths, self._next_start = 0, 0.0 if at_once else math.inf  # in a row, of processes that did nothing
        self._worker: Worker | None = None
        if at_once:
            self._start()

    detached = False

    @property
    def busy(self) -> bool:
        """Whether it has a task."""
        return self._task is not None

    def has_room(self, device: str) -> bool:
        """Whether the task before has ended; the worker sees every device."""
        return not self.busy

    def submit(self, task: Task) -> None:
        """Begin a task; the one before must have ended."""
        self._task, self._begun, self._stopped, self._watched = task, False, False, False
        if self._worker is None and self._deaths < TRIES:
            self._start()
        elif self._worker is not None and not self._worker.killed:
            self._worker.send(task)

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step."""
        if self._task is not None and self._task.job == job:
            self._stopped = True
            if self._worker is None:
                self._end(Ended(job=job, state="stopped"))
            else:
                self._worker.send(Stop(job=job))

    def kill(self, job: str) -> None:
        """End the job now by ending its process; if the job has ended already, the process is left alone."""
        self._listen()
        if self._task is not None and self._task.job == job and self._worker is not None:
            self._stopped = True
            self._worker.kill()

    def show(self, job: str, watched: bool) -> None:
        """Tell the process whether somebody watches the job."""
        if self._task is not None and self._task.job == job:
            self._watched = watched
            if self._worker is not None:
                self._worker.send(Show(job=job, watched=watched))

    def free_memory(self) -> None:
        """Have the process give back the memory of its models; one that is not there has none."""
        if self._worker is not None:
            self._worker.send(Free())

    def withdraw(self) -> Task | None:
        """Take back a task that waits for another process, as the one before died without beginning it."""
        if self._worker is not None or self._begun or self._stopped:
            return None
        task, self._task = self._task, None
        return task

    def events(self) -> list[Event]:
        """The events since the last call; a process that died is replaced, and its task has ended."""
        self._waker.clear()
        return self.collect()

    def collect(self) -> list[Event]:
        """As `events`, for an owner that has cleared the waker."""
        self._listen()
        if self._worker is None and time.monotonic() >= self._next_start:
            self._start()
        events, self._events = self._events, []
        return events

    def fileno(self) -> int:
        """Can be read when there are events."""
        return self._waker.fileno()

    def close(self) -> None:
        """Let the current step end and be saved, if it is quick; then end the process."""
        self.stop_all()
        self.end(time.monotonic() + PATIENCE)
        self._waker.close()

    def stop_all(self) -> None:
        """Ask the task to stop."""
        if self._task is not None:
            self.stop(self._task.job)

    def end(self, deadline: float) -> None:
        """End the process when the task has stopped, or at this time of the monotonic clock."""
        while self._task is not None and self._worker is not None and time.monotonic() < deadline:
            time.sleep(0.02)
            self._listen()
        self._task = None
        if self._worker is not None:
            self._worker.kill()
            self._worker.close()

    def _start(self) -> None:
        """Start a process and give it the waiting task."""
        self._worker = Worker(self.log, self._inbox, self._waker, self.environment)
        if self._task is not None:
            self._worker.send(self._task)
            self._worker.send(Show(job=self._task.job, watched=self._watched))

    def _listen(self) -> None:
        """Take in what the worker has sent; messages of a replaced one are dropped."""
        while not self._inbox.empty():
            worker, message = self._inbox.get()
            if worker is not self._worker:
                continue
            match message:
                case None:
                    self._handle_exit(worker)
                case Ready():
                    worker.ready, self.trouble = True, Trouble()
                case Begun():
                    self._begun, self._deaths = True, 0
                case Ended():
                    self._end(message)
                case _:
                    self._events.append(message)

    def _end(self, ended: Ended) -> None:
        """The task has ended; the end of an earlier task is ignored."""
        if self._task is not None and ended.job == self._task.job:
            self._task = None
            self._events.append(ended)

    def _handle_exit(self, worker: Worker) -> None:
        """The process has died: end its task if it had begun it, and plan the next process."""
        worker.close()
        self._worker, task = None, self._task
        cause, log = worker.exit_cause(), worker.log_tail()
        if worker.killed or (self._begun and task is not None):
            self._next_start = 0.0
        else:
            self._back_off(worker, cause, log)
        if task is None:
            return
        if self._stopped:
            self._end(Ended(job=task.job, state="stopped"))
        elif self._begun:
            text = f"The worker process {cause}; use “Continue” to go on from the last checkpoint."
            self._end(Ended(job=task.job, state="failed", text=text, detail=log))
        elif self._deaths >= TRIES:
            self._end(Ended(job=task.job, state="failed", text=self.trouble.text, detail=log))

    def _back_off(self, worker: Worker, cause: str, log: str) -> None:
        """A process died without beginning a task: delay the next one, and report why."""
        proven = worker.ready and time.monotonic() - worker.started_at > PROVEN
        self._deaths = 1 if proven else self._deaths + 1
        pause = min(PAUSE * 2 ** (self._deaths - 1), LONGEST_PAUSE)
        self._next_start = time.monotonic() + pause
        when = "while it waited" if worker.ready else "before it was ready"
        reason = f" ({_last_line(log)})" if log.strip() else ""
        text = f"The backend's worker {cause} {when}{reason}; it will be restarted in {pause:.0f} s."
        self.trouble = Trouble(text=text, detail=log)


def _last_line(log: str) -> str:
    """The last line that is not empty, which in a traceback is the error."""
    return log.strip().splitlines()[-1].strip()[:REASON]
