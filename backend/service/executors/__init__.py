"""The interface of executors, which run jobs: they take tasks and give events.

`Task` and `Stop` are sent to the worker process and the others come from it, all in the codec of `shared`.
"""

from __future__ import annotations

from typing import Literal, Protocol

from shared.messages import Matrix, Message, Preview, Progress, Splats, Trouble, Warning


class Task(Message, frozen=True, kw_only=True):
    """Run the job in this folder, from its checkpoint if it has one, to step `until`."""

    job: str
    folder: str
    until: int


class Stop(Message, frozen=True, kw_only=True):
    """Save after the current step, and end the task."""

    job: str


class Show(Message, frozen=True, kw_only=True):
    """Whether somebody watches the job: only then are its splats wanted while it runs."""

    job: str
    watched: bool


class Free(Message, frozen=True, kw_only=True):
    """Give back the memory of models that no task needs."""


class Ready(Message, frozen=True, kw_only=True):
    """The process has warmed up and takes tasks.  Like Begun, this is for the executor only."""


class Begun(Message, frozen=True, kw_only=True):
    """The task was begun: if the process dies from now on, it may be the task's fault."""

    job: str


class Started(Message, frozen=True, kw_only=True):
    """The job's prior and splats are ready."""

    job: str
    step: int
    to_scene: Matrix


class Finishing(Message, frozen=True, kw_only=True):
    """The splats are done and saved; the other results are being made."""

    job: str


class Ended(Message, frozen=True, kw_only=True):
    """The last event of a job."""

    job: str
    state: Literal["done", "stopped", "failed"]
    text: str = ""
    detail: str = ""


Command = Task | Stop | Show | Free
FromWorker = Ready | Begun | Started | Progress | Preview | Splats | Warning | Finishing | Ended
Event = Started | Progress | Preview | Splats | Warning | Finishing | Ended


class Executor(Protocol):
    """Runs one task at a time."""

    @property
    def trouble(self) -> Trouble:
        """What keeps it from running anything; the same object until it changes."""

    def submit(self, task: Task) -> None:
        """Begin a task at once; the one before must have ended."""

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step."""

    def kill(self, job: str) -> None:
        """End the job now, without saving."""

    def show(self, job: str, watched: bool) -> None:
        """Send pictures and splats of a job that is watched, of another one a picture now and then."""

    def free_memory(self) -> None:
        """Give back the memory of models; between two tasks."""

    def events(self) -> list[Event]:
        """The events since the last call; never waits."""

    def fileno(self) -> int:
        """A socket that can be read when there are events."""

    def close(self) -> None:
        """Stop what runs, and leave no process behind."""
