"""One worker process on this machine, replaced when it dies: at once where it was at work, else after a pause.

A process that dies before it begins with anything would die again and again.  Each such death makes the pause longer
and is told as `trouble`; a task that waits is given up after a few.
"""

from __future__ import annotations

import queue
import time
from pathlib import Path

from backend.service.executors import Begun, Ended, Event, FromWorker, Ready, Stop, Task
from backend.service.executors.process import Worker
from shared.messages import Trouble
from shared.waker import Waker

TRIES = 3  # deaths in a row until a task that waits is given up
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until a process that did nothing is replaced: the first time, and at most
PROVEN = 60.0  # seconds; a warm process that lived so long was a good one
PATIENCE = 3.0  # seconds for the step under way, when all is to end
REASON = 300  # characters of a program's own words in our sentence


class Local:
    """An Executor.  The worker starts at once, so that its models are loaded when the first task comes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.trouble = Trouble()
        self._waker = Waker()
        self._heard: queue.SimpleQueue[tuple[Worker, FromWorker | None]] = queue.SimpleQueue()
        self._task: Task | None = None
        self._begun = self._stopped = False  # of the task
        self._events: list[Event] = []  # not asked for yet
        self._deaths, self._next_start = 0, 0.0  # in a row, of processes that did nothing
        self._worker: Worker | None = None
        self._start()

    def submit(self, task: Task) -> None:
        """Begin; the task before has ended."""
        self._task, self._begun, self._stopped = task, False, False
        if self._worker is None and self._deaths < TRIES:
            self._start()
        elif self._worker is not None and not self._worker.killed:
            self._worker.tell(task)

    def stop(self, job: str) -> None:
        """Ask for the end of the job after the step under way."""
        if self._task is not None and self._task.job == job:
            self._stopped = True
            if self._worker is None:
                self._end(Ended(job=job, state="stopped"))
            else:
                self._worker.tell(Stop(job=job))

    def kill(self, job: str) -> None:
        """End the job now, with the process that does it; nothing happens to a process that is done with it."""
        self._listen()
        if self._task is not None and self._task.job == job and self._worker is not None:
            self._stopped = True
            self._worker.kill()

    def events(self) -> list[Event]:
        """What has come since the last call; a process that died is replaced, and gives its task's end."""
        self._waker.clear()
        self._listen()
        if self._worker is None and time.monotonic() >= self._next_start:
            self._start()
        events, self._events = self._events, []
        return events

    def fileno(self) -> int:
        """Can be read when there are events."""
        return self._waker.fileno()

    def close(self) -> None:
        """Let the step under way end and be saved, if it is quick; then the process goes."""
        deadline = time.monotonic() + PATIENCE
        if self._task is not None:
            self.stop(self._task.job)
        while self._task is not None and self._worker is not None and time.monotonic() < deadline:
            time.sleep(0.02)
            self._listen()
        self._task = None
        if self._worker is not None:
            self._worker.kill()
            self._worker.close()
        self._waker.close()

    def _start(self) -> None:
        """Another process; it gets the task that waits."""
        self._worker = Worker(self.log, self._heard, self._waker)
        if self._task is not None:
            self._worker.tell(self._task)

    def _listen(self) -> None:
        """Take in what has come.  A worker that was replaced has nothing more to say."""
        while not self._heard.empty():
            worker, said = self._heard.get()
            if worker is not self._worker:
                continue
            match said:
                case None:
                    self._handle_exit(worker)
                case Ready():
                    worker.ready, self.trouble = True, Trouble()
                case Begun():
                    self._begun, self._deaths = True, 0
                case Ended():
                    self._end(said)
                case _:
                    self._events.append(said)

    def _end(self, ended: Ended) -> None:
        """The task is over.  The end of one that is over already is none of this one's."""
        if self._task is not None and ended.job == self._task.job:
            self._task = None
            self._events.append(ended)

    def _handle_exit(self, worker: Worker) -> None:
        """What the death of a process means."""
        worker.close()
        self._worker, task = None, self._task
        how, words = worker.how_it_ended(), worker.log_end()
        if worker.killed or (self._begun and task is not None):
            self._next_start = 0.0
        else:
            self._back_off(worker, how, words)
        if task is None:
            return
        if self._stopped:
            self._end(Ended(job=task.job, state="stopped"))
        elif self._begun:
            text = f"The worker process {how}; “Continue” goes on from the last checkpoint."
            self._end(Ended(job=task.job, state="failed", text=text, detail=words))
        elif self._deaths >= TRIES:
            self._end(Ended(job=task.job, state="failed", text=self.trouble.text, detail=words))

    def _back_off(self, worker: Worker, how: str, words: str) -> None:
        """A process died that did nothing: the next one has to wait, and clients hear why."""
        good = worker.ready and time.monotonic() - worker.started_at > PROVEN
        self._deaths = 1 if good else self._deaths + 1
        pause = min(PAUSE * 2 ** (self._deaths - 1), LONGEST_PAUSE)
        self._next_start = time.monotonic() + pause
        when = "while it waited" if worker.ready else "before it was ready"
        reason = f" ({_last_line(words)})" if words.strip() else ""
        text = f"The backend's worker {how} {when}{reason}; it is started again in {pause:.0f} s."
        self.trouble = Trouble(text=text, detail=words)


def _last_line(words: str) -> str:
    """The last line that says something: of a traceback, what was wrong."""
    return words.strip().splitlines()[-1].strip()[:REASON]
