"""The interface of executors, which run jobs: they take tasks and give events.

`Task` and `Stop` are sent to the worker process and the others come from it, all in the codec of `shared`.
"""

from __future__ import annotations

from typing import Literal, Protocol

from shared.messages import Matrix, Message, Preview, Progress, Splats, Trouble, Warning


class Task(Message, frozen=True, kw_only=True):
    """Run the job in this folder, from its checkpoint if it has one, to step `until`.

    `device` is what the job names, or the name that this device has in the process that runs it.
    """

    job: str
    folder: str
    until: int
    device: str = ""  # the job's
    run: str = ""  # a new one whenever the job is begun or continued
    code: str = ""  # the server's version of the program and of the job's prior, where it runs on another machine
    prior: str = ""


class Stop(Message, frozen=True, kw_only=True):
    """Save after the current step, and end the task."""

    job: str


class Kill(Message, frozen=True, kw_only=True):
    """End the task now, without saving."""

    job: str


class Show(Message, frozen=True, kw_only=True):
    """Whether somebody watches the job: only then are its splats wanted while it runs."""

    job: str
    watched: bool


class Free(Message, frozen=True, kw_only=True):
    """Give back the memory of models that no task needs."""


class Ready(Message, frozen=True, kw_only=True):
    """The process has warmed up and takes tasks.  Like Begun, this is for the executor only."""


class Room(Message, frozen=True, kw_only=True):
    """So many tasks can run at a time on the nodes of a cluster."""

    places: int


class Unfit(Message, frozen=True, kw_only=True):
    """A node cannot run the task: its id, and a sentence that says why."""

    job: str
    node: str
    text: str


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
ClusterCommand = Task | Stop | Kill | Show
FromNode = Unfit | Begun | Started | Progress | Preview | Splats | Warning | Finishing | Ended
FromGateway = Ready | Room | Trouble | Started | Progress | Preview | Splats | Warning | Finishing | Ended
Event = Started | Progress | Preview | Splats | Warning | Finishing | Ended


class Executor(Protocol):
    """Runs as many tasks at a time as it has room for."""

    @property
    def trouble(self) -> Trouble:
        """What keeps it from running anything; the same object until it changes."""

    @property
    def detached(self) -> bool:
        """Whether tasks go on when the executor is closed or dies; given to `submit` again, they are found."""

    def has_room(self, device: str) -> bool:
        """Whether it can begin a task now whose job names this device."""

    def submit(self, task: Task) -> None:
        """Begin a task at once; there must be room for it."""

    def stop(self, job: str) -> None:
        """Ask the job to stop after the current step."""

    def kill(self, job: str) -> None:
        """End the job now, without saving."""

    def show(self, job: str, watched: bool) -> None:
        """Send pictures and splats of a job that is watched, of another one a picture now and then."""

    def free_memory(self) -> None:
        """Give back the memory of models; while no task runs."""

    def events(self) -> list[Event]:
        """The events since the last call; never waits."""

    def fileno(self) -> int:
        """A socket that can be read when there are events."""

    def close(self) -> None:
        """Stop what runs, and leave no process behind."""
