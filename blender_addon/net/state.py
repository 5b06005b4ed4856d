"""What the add-on knows while Blender runs: the connection, the jobs, and the results that are on their way.

`addon_state` is a plain object, not Blender's data, so that undo, opening a file and changing the scene leave it as it
is, and it can be tested without Blender.  It refers to jobs by their ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..shared.messages import (
    Continue,
    Detail,
    FetchDetail,
    FromClient,
    Generate,
    Jobs,
    JobState,
    Objective,
    Prior,
    Priors,
    Progress,
    Trouble,
    Watch,
    Welcome,
)
from .client import Client, ConnectionStatus
from .kit_maker import KitMaker
from .launcher import BackendProcess
from .model_manager import ModelManager
from .rows import Delivery, Row

IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
EMBEDDED = "embedded"  # the name of the prior that every backend has
NO_PRIORS = Priors(priors=(Prior(name=EMBEDDED, title=EMBEDDED, kit=True),))
NO_TROUBLE = Trouble()
OFFLINE = ConnectionStatus("unreachable", "The add-on has not tried to reach the backend yet.", None)


@dataclass
class AddonState:
    """What the add-on knows; the newest job is the first of `rows`."""

    client: Client | None = None
    client_for: tuple[str, str, str, bool] | None = None  # address, keys and permission that `client` has
    problem: str = ""  # why there is no client
    backend: BackendProcess | None = None
    log_tail: list[str] = field(default_factory=list)
    welcome: Welcome | None = None  # of the last connection: the menus keep their choices when it is lost
    notice: str = ""  # the last thing that went wrong, in one sentence
    detail: str = ""  # its traceback
    rows: dict[str, Row] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    trouble: Trouble = NO_TROUBLE  # what keeps the backend from making anything
    pages: list[Jobs] = field(default_factory=list)  # of the backend's list of jobs, until it is complete
    watched: tuple[str, ...] = ()
    priors: Priors = NO_PRIORS  # what the backend offered last
    copying: str = ""  # the job whose traceback is to be copied once it has come
    kit: KitMaker[Any] | None = None  # the kit that is being made, or was made last
    models: ModelManager | None = None  # once the preferences have shown them
    submitted: str = ""  # what was last submitted to the farm, and where its results will be

    @property
    def status(self) -> ConnectionStatus:
        """How the connection to the backend is."""
        if self.client is not None:
            return self.client.status
        return ConnectionStatus("refused", self.problem, None) if self.problem else OFFLINE

    @property
    def ready(self) -> bool:
        """Whether the backend answers requests now."""
        return self.status.state == "ready"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the backend that was connected last."""
        return self.welcome.objectives if self.welcome else ()

    def prior(self, title_or_name: str) -> Prior | None:
        """The prior with that title or name, or None if the backend does not offer it."""
        return next((prior for prior in self.priors.priors if title_or_name in (prior.title, prior.name)), None)

    def say(self, sentence: str, detail: str = "") -> None:
        """Show a sentence in the panel until the next request.  The panel has a button that copies the detail."""
        self.notice, self.detail = sentence, detail

    def clear(self) -> None:
        """Forget everything."""
        vars(self).update(vars(AddonState()))

    def connected(self, welcome: Welcome) -> None:
        """Take note of a new connection.  The backend sends the list of jobs by itself, and is told what to watch."""
        self.welcome, self.watched, self.trouble = welcome, (), NO_TROUBLE

    def send(self, request: FromClient) -> None:
        """Send a request.  The buttons for it are grey unless the backend answers, so there is a client."""
        assert self.client is not None
        self.client.send(request)

    def generate(self, request: Generate) -> None:
        """Ask for a job and list it at once; the backend's first news of the job replaces this row."""
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
        self.rows = {request.job: Row(state, confirmed=False), **self.rows}
        self.client.send(request)

    def continue_job(self, job: str, steps: int) -> None:
        """Ask for more steps; the row is queued at once, so that the button is not pressed twice."""
        self._go_on(Continue(job=job, steps=steps))

    def refine_mesh(self, job: str, steps: int) -> None:
        """Ask for a finer mesh of a job that is done."""
        self._go_on(Continue(job=job, refine_steps=steps))

    def _go_on(self, request: Continue) -> None:
        if self.client is not None:
            self.client.send(request)
            row = self.rows[request.job]
            row.state = msgspec.structs.replace(row.state, state="queued")

    def take_list(self, jobs: Jobs) -> None:
        """Take a page of the backend's list.  The last one completes it; only jobs not confirmed yet stay beside it."""
        if jobs.page == 0:
            self.pages = []
        if jobs.page != len(self.pages):
            return  # a page of an older list
        self.pages.append(jobs)
        if not jobs.last:
            return
        waiting = {job: row for job, row in self.rows.items() if not row.confirmed}
        listed = {state.job: self._row(state) for page in self.pages for state in page.jobs}
        self.rows = waiting | listed

    def update(self, state: JobState) -> bool:
        """Take news of a job.  Returns whether it has just become done, or is a particle with a new result."""
        before = self.rows.get(state.job)
        row = self._row(state)
        if before is None:
            self.rows = {state.job: row, **self.rows}
        else:
            self.rows[state.job] = row
        if state.part_of is not None:
            return state.has_splats  # it is sent when its job has ended, with new results
        return state.state == "done" and before is not None and before.state.state != "done"

    def fetch_detail(self, job: str) -> bool:
        """Ask for the traceback of a job if it is not here yet; whether it was asked for."""
        row = self.rows.get(job)
        if row is None or row.state.detail or not row.state.has_detail or not self.ready:
            return False
        self.send(FetchDetail(job=job))
        self.copying = job
        return True

    def take_detail(self, detail: Detail) -> bool:
        """Keep the traceback of a job; whether it was asked for to be copied."""
        if (row := self.rows.get(detail.job)) is not None:
            row.state = msgspec.structs.replace(row.state, detail=detail.text)
        wanted, self.copying = self.copying == detail.job, ""
        return wanted

    def progress(self, news: Progress) -> None:
        """Take news of how far a job is."""
        if (row := self.rows.get(news.job)) is not None:
            row.stage, row.seconds_left = news.stage, news.seconds_left
            row.part = int(news.metrics.get("stage", 0))
            if news.stage != "run":
                row.stage_step, row.stage_of = news.step, news.of
            else:
                row.state = msgspec.structs.replace(row.state, step=news.step, of=news.of)

    def warn(self, job: str, text: str) -> None:
        """Add a warning to a job."""
        if (row := self.rows.get(job)) is not None:
            before = row.state.warnings
            row.state = msgspec.structs.replace(row.state, warnings=before if text in before else (*before, text))

    def forget(self, job: str) -> None:
        """Drop everything about a job and its particles."""
        particles = [other for other, row in self.rows.items() if row.state.part_of == job]
        for gone in (job, *particles):
            for table in (self.rows, self.deliveries):
                table.pop(gone, None)

    def expect_results(self, job: str) -> None:
        """Remember that the results of a job were requested."""
        self.deliveries[job] = Delivery(self.rows[job].state.has_mesh)

    def watch(self, jobs: Iterable[str]) -> None:
        """Ask for the pictures and splats of these jobs, unless exactly these are watched already."""
        wanted = tuple(sorted(job for job in jobs if job in self.rows and self.rows[job].confirmed))
        if wanted != self.watched and self.client is not None and self.ready:
            self.client.send(Watch(jobs=wanted))
            self.watched = wanted

    def _row(self, state: JobState) -> Row:
        """A row for a state; the thumbnail and the time left of the row before are kept where there are no newer."""
        before = self.rows.get(state.job)
        if before is not None and state.thumbnail is None:
            state = msgspec.structs.replace(state, thumbnail=before.state.thumbnail)
        if before is not None and state.has_detail and not state.detail:
            state = msgspec.structs.replace(state, detail=before.state.detail)
        if before is None:
            return Row(state)
        stage = before.stage if state.state == "running" else "run"
        return Row(state, before.seconds_left, True, stage, before.stage_step, before.stage_of, before.part)


addon_state = AddonState()
