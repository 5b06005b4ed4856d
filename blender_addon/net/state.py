"""What the add-on knows while Blender runs: the connection, the jobs, and what is on its way.

A plain object of this module, no Blender data: undo, a file load or another scene leave it as it is, and it is tested
without Blender.  Jobs are known by their ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..shared.messages import (
    ENDED,
    Continue,
    Generate,
    Jobs,
    JobState,
    Mesh,
    Objective,
    Prior,
    Priors,
    Progress,
    Splats,
    Trouble,
    Watch,
    Welcome,
)
from .client import Client, ConnectionStatus
from .kit_maker import KitMaker
from .launcher import BackendProcess

IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
EMBEDDED = "embedded"  # the prior that every backend has
NO_PRIORS = Priors(priors=(Prior(name=EMBEDDED, title=EMBEDDED, kit=True),))
NO_TROUBLE = Trouble()
OFFLINE = ConnectionStatus("unreachable", "The add-on has not tried to reach the backend yet.", None)


@dataclass
class Row:
    """A job as the list shows it."""

    state: JobState
    seconds_left: float = 0.0
    known: bool = True  # the backend has spoken of it

    @property
    def ended(self) -> bool:
        """Whether it is neither waiting nor running."""
        return self.state.state in ENDED


@dataclass
class Delivery:
    """The results of a job that were asked for; whole when all that is expected has come."""

    expects_mesh: bool
    splats: Splats | None = None
    mesh: Mesh | None = None
    closed: bool = False  # the backend said that nothing more will come

    @property
    def whole(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.splats is not None and (self.closed or self.mesh is not None or not self.expects_mesh)


@dataclass
class AddonState:
    """Everything but Blender's data; the newest job is the first of `rows`."""

    client: Client | None = None
    client_for: tuple[str, str, str, bool] | None = None  # the address, keys and permission that `client` was made for
    problem: str = ""  # why there is no client
    backend: BackendProcess | None = None
    log_tail: list[str] = field(default_factory=list)
    welcome: Welcome | None = None  # the last one: the menus stay when the connection goes
    notice: str = ""  # the last thing that went wrong, in one sentence
    detail: str = ""  # its traceback
    rows: dict[str, Row] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    trouble: Trouble = NO_TROUBLE  # what keeps the backend from making anything
    pages: list[Jobs] = field(default_factory=list)  # of the backend's list, until the last has come
    watched: tuple[str, ...] = ()
    priors: Priors = NO_PRIORS  # what the backend offered last
    kit: KitMaker[Any] | None = None  # the kit that is being made, or was made last

    @property
    def status(self) -> ConnectionStatus:
        """How things stand with the backend."""
        if self.client is not None:
            return self.client.status
        return ConnectionStatus("refused", self.problem, None) if self.problem else OFFLINE

    @property
    def ready(self) -> bool:
        """Whether requests will be heard now."""
        return self.status.state == "ready"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the backend that was spoken to last."""
        return self.welcome.objectives if self.welcome else ()

    def prior(self, said: str) -> Prior | None:
        """The prior of that title or name, where it is on offer."""
        return next((prior for prior in self.priors.priors if said in (prior.title, prior.name)), None)

    def say(self, sentence: str, detail: str = "") -> None:
        """Show a sentence in the panel until the next request; the detail can be copied there."""
        self.notice, self.detail = sentence, detail

    def clear(self) -> None:
        """Know nothing again."""
        vars(self).update(vars(AddonState()))

    def connected(self, welcome: Welcome) -> None:
        """A connection was made (again); the backend tells of its jobs unasked, but watches none of them yet."""
        self.welcome, self.watched, self.trouble = welcome, (), NO_TROUBLE

    def generate(self, request: Generate) -> None:
        """Ask for a job, and list it at once: the backend's own word replaces this row."""
        if self.client is None:
            return
        fields = request.fields
        if request.like is not None:
            like = self.rows[request.like].state
            fields = {"prompt": like.prompt, "objective": like.objective, **fields}
        state = JobState(
            job=request.job,
            state="queued",
            prompt=fields["prompt"],
            objective=fields["objective"],
            seed=fields["seed"],
            created=0.0,
            step=0,
            of=0,
            to_scene=IDENTITY,
        )
        self.rows = {request.job: Row(state, known=False), **self.rows}
        self.client.send(request)

    def continue_job(self, job: str, steps: int) -> None:
        """Ask for more steps; the row is queued at once, so that the button is not pressed twice."""
        if self.client is not None:
            self.client.send(Continue(job=job, steps=steps))
            row = self.rows[job]
            row.state = msgspec.structs.replace(row.state, state="queued")

    def take_list(self, jobs: Jobs) -> None:
        """A page of the backend's list; at the last one only what it cannot know yet is kept beside the list."""
        if jobs.page == 0:
            self.pages = []
        if jobs.page != len(self.pages):
            return  # of a list that a newer one has overtaken
        self.pages.append(jobs)
        if not jobs.last:
            return
        waiting = {job: row for job, row in self.rows.items() if not row.known}
        told = {state.job: self._row(state) for page in self.pages for state in page.jobs}
        self.rows = waiting | told

    def update(self, state: JobState) -> bool:
        """News of a job; whether it has just become done."""
        before = self.rows.get(state.job)
        row = self._row(state)
        if before is None:
            self.rows = {state.job: row, **self.rows}
        else:
            self.rows[state.job] = row
        return state.state == "done" and before is not None and before.state.state != "done"

    def progress(self, news: Progress) -> None:
        """How far a job is."""
        if (row := self.rows.get(news.job)) is not None:
            row.state = msgspec.structs.replace(row.state, step=news.step, of=news.of)
            row.seconds_left = news.seconds_left

    def warn(self, job: str, text: str) -> None:
        """Something about a job that goes on."""
        if (row := self.rows.get(job)) is not None:
            told = row.state.warnings
            row.state = msgspec.structs.replace(row.state, warnings=told if text in told else (*told, text))

    def forget(self, job: str) -> None:
        """Drop all that is known of a job."""
        for table in (self.rows, self.deliveries):
            table.pop(job, None)

    def expect_results(self, job: str) -> None:
        """The results of a job were asked for."""
        self.deliveries[job] = Delivery(self.rows[job].state.has_mesh)

    def watch(self, jobs: Iterable[str]) -> None:
        """Ask for the pictures and splats of these jobs, if they are not those asked for already."""
        wanted = tuple(sorted(job for job in jobs if job in self.rows and self.rows[job].known))
        if wanted != self.watched and self.client is not None and self.ready:
            self.client.send(Watch(jobs=wanted))
            self.watched = wanted

    def _row(self, state: JobState) -> Row:
        """The row of a state, with the thumbnail and the time of the row before where the news has none."""
        before = self.rows.get(state.job)
        if before is not None and state.thumbnail is None:
            state = msgspec.structs.replace(state, thumbnail=before.state.thumbnail)
        return Row(state, before.seconds_left if before else 0.0)


addon_state = AddonState()
