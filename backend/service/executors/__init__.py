"""Where jobs run.  An executor takes tasks and gives events; what stands behind it is its own business.

`Task` and `Stop` go to the process that does the work, the others come from it, all by the codec of `shared`.
"""

from __future__ import annotations

from typing import Literal, Protocol

from shared.messages import Matrix, Message, Preview, Progress, Splats, Trouble, Warning


class Task(Message, frozen=True, kw_only=True):
    """Go on with the job in this folder, from its checkpoint where it has one, to step `until`."""

    job: str
    folder: str
    until: int


class Stop(Message, frozen=True, kw_only=True):
    """Save after the step under way, and end."""

    job: str


class Ready(Message, frozen=True, kw_only=True):
    """The process is warm, and takes tasks.  Of it and of Begun only the executor hears."""


class Begun(Message, frozen=True, kw_only=True):
    """The task was taken up: if the process dies from now on, it may be the task's fault."""

    job: str


class Started(Message, frozen=True, kw_only=True):
    """The job's models are loaded and its splats laid out."""

    job: str
    step: int
    to_scene: Matrix


class Finishing(Message, frozen=True, kw_only=True):
    """The splats are done and saved; the mesh is being made."""

    job: str


class Ended(Message, frozen=True, kw_only=True):
    """The last event of a job."""

    job: str
    state: Literal["done", "stopped", "failed"]
    text: str = ""
    detail: str = ""


Command = Task | Stop
FromWorker = Ready | Begun | Started | Progress | Preview | Splats | Warning | Finishing | Ended
Event = Started | Progress | Preview | Splats | Warning | Finishing | Ended


class Executor(Protocol):
    """Runs one task at a time."""

    @property
    def trouble(self) -> Trouble:
        """What keeps it from running anything; the same object until that changes."""

    def submit(self, task: Task) -> None:
        """Begin; at once, and only after the task before has ended."""

    def stop(self, job: str) -> None:
        """Ask for the end of the job after the step under way."""

    def kill(self, job: str) -> None:
        """End the job now, without saving."""

    def events(self) -> list[Event]:
        """What has come since the last call; never waits."""

    def fileno(self) -> int:
        """A socket that can be read when there are events."""

    def close(self) -> None:
        """Stop what runs, and leave no process behind."""
