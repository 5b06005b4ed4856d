"""One session of work on a job, the same for the command line, the worker and the studies.

Call `Session.begin` or `Session.resume`, then `steps`, `save` and `results`.  Steps and results are generators: the
caller shows or sends their events, and stops by not asking for the next one.

A job that starts from a draft takes the draft's steps before its own step 0, and loads its prior only then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from backend.job.job import Job
from backend.priors.choosing import UnknownThingError
from backend.run.assemble import (
    Start,
    assemble,
    load_prior,
    make_objective,
    placeholder_start,
    plain_start,
    unused_by_scene,
)
from backend.run.devices import choose_device, scene_device, unused_card
from backend.run.distill import Run, distill, show
from backend.run.draft import before_step_0, draft_steps, finished_draft, open_draft
from backend.run.events import DraftStep, Event, StepDone, Warning
from backend.run.folder import DIVERGED, JobFolder
from backend.run.history import History
from backend.run.memory import views_that_fit
from backend.run.results import make_results
from backend.run.start import check_start, make_start
from backend.run.threads import use_threads
from backend.scenes.ply import write_ply
from backend.state import below

CHECKPOINT_SECONDS = 12.0
SHOW_COST = 0.1  # of the run's time may go into pictures, at most
THUMBNAIL_SECONDS = 5.0  # between the pictures of a run that nobody watches
DRAFT = "draft."  # what the names of a draft's state begin with in the checkpoint


class Session:
    """A job's run, its folder, and `notes`: sentences for the user.

    While `drafting`, `run` is the draft's.  With `resume` it loads the folder's checkpoint and does not make the start
    again: its splats and its place are in the checkpoint.

    Raises UserError where the job cannot be run: no such device, or a prior, start or checkpoint that cannot be read.
    """

    run: Run
    to_scene: Tensor

    def __init__(self, job: Job, folder: JobFolder, resume: bool = False) -> None:
        self.job, self.folder, self.began = job, folder, time.time()
        self.device = choose_device(job.device)
        self.notes = [*unused_card(job.device), *scene_device(job.scene, self.device)[1], *unused_by_scene(job)]
        if job.particles > 1:
            self.notes.append(f"{job.particles} particles take turns; the pictures on the way are of the first.")
        self.last: dict[str, float] = {}
        self.spent: dict[str, float] = {"prior_calls": 0, "prior_rows": 0, "seconds": 0.0}  # before this session
        self.drafting, self._started_from = False, dict[str, Any]()
        self._saved, self._history = time.monotonic(), History(folder)
        if resume:
            folder.take()  # before the checkpoint is read, so that no other process writes a later one
        state = folder.load() if resume else {}
        in_draft = any(name.startswith(DRAFT) for name in state)
        if resume and not in_draft:
            self._begin_run(placeholder_start(job, state["to_scene"]))
        else:
            self._begin_start()
        if resume and self.drafting == in_draft:  # a kit that has changed may know the prompt no longer
            self._restore(state)
            number, of = self.run.recipe.part(min(self.run.step / self.run.recipe.steps, 1.0))
            if of > 1:
                self.notes.append(f"Goes on at step {self.run.step}, in stage {number} of {of}.")

    def _begin_start(self) -> None:
        """The draft at its beginning, or else the run at its start."""
        check_start(self.job, self.folder.path)
        make_objective(self.job.objective, self.job.recipe.options)
        if self.job.start != "draft":
            start, told = make_start(self.job, self.device, self.notes.append)
            self._started_from = told or {}
            self._begin_run(start)
            return
        try:
            self.run, notes = open_draft(self.job, self.device)
        except UnknownThingError as error:
            self.notes.append(f"No draft, so the run starts from a grey ball: {error}.")
            self._started_from = {"start": "sphere"}
            self._begin_run(plain_start(self.job))
        else:
            self.notes += notes
            self.to_scene, self.drafting = torch.eye(4), True

    def _begin_run(self, start: Start) -> None:
        """Load the prior and assemble the run at its step 0."""
        prior, notes = load_prior(self.job, self.device)
        use_threads(prior)
        self.run, self.to_scene = assemble(self.job, prior, self.device, start), start.to_scene
        self.run.views, tight = views_that_fit(prior, self.run.views)
        self.notes += notes + tight
        self.drafting = False

    @property
    def step(self) -> int:
        """The step that the job has reached: 0 while it is drafting."""
        return 0 if self.drafting else self.run.step

    @classmethod
    def begin(cls, job: Job, folder: JobFolder) -> Session:
        """A new run.  Nothing is written before everything the job needs has been loaded."""
        session = cls(job, folder)
        session.notes += folder.begin(job)
        return session

    @classmethod
    def resume(cls, folder: JobFolder) -> Session:
        """The stopped run in a folder; JobError where there is none or it cannot be read."""
        return cls(folder.job(), folder, resume=True)

    def _restore(self, state: dict[str, Tensor]) -> None:
        self.spent = {
            name: type(zero)(state[f"spent.{name}"]) if f"spent.{name}" in state else zero
            for name, zero in self.spent.items()
        }
        self.run.load_state_dict(below(state, DRAFT) if self.drafting else state)

    def steps(
        self, until: int, show_seconds: float = 0.0, watched: Callable[[], bool] = lambda: True
    ) -> Iterator[Event]:
        """Take the steps of the draft that are left, then those up to `until`, with a checkpoint now and then.

        With `show_seconds`, a picture and the splats after the first and the last step, and every so many seconds in
        between, as long as that costs no more than a tenth of the time; while the run is not `watched`, a picture alone
        every THUMBNAIL_SECONDS.  Raises DivergedError as `distill` does, and
        after a draft UserError where the prior cannot be loaded.
        """
        told = len(self.notes)
        self.folder.take()
        self.folder.fence.remove(DIVERGED)  # it is tried again
        yield from self.logged(Warning(text) for text in self.notes)
        if self._started_from:
            self.folder.write_start(self._started_from)
        if self.drafting:
            yield from self._shown(draft_steps(self.run), self.run.recipe.steps, show_seconds, watched)
            self._leave_draft()
            yield from self.logged(Warning(text) for text in self.notes[told:])
        yield from self._shown(distill(self.run, until), until, show_seconds, watched)

    def _leave_draft(self) -> None:
        """Go on from the draft's splats, which are saved first: the prior may turn out not to be usable."""
        self.save()
        start, told = finished_draft(self.job, self.run)
        self._started_from = told | {name: self.cost()[name] for name in ("prior_calls", "prior_rows")}
        self.folder.write_start(self._started_from)
        self._begin_run(start)
        self.spent |= {"prior_calls": 0, "prior_rows": 0}

    def _shown(
        self, events: Iterator[Event], last: int, show_seconds: float, watched: Callable[[], bool]
    ) -> Iterator[Event]:
        """The events of the run, logged, with pictures and splats in between."""
        shown, cost = 0.0, 0.0
        for event in self.logged(events):
            yield event
            began, seen = time.monotonic(), watched()
            pause = max(show_seconds if seen else THUMBNAIL_SECONDS, cost / SHOW_COST)
            if show_seconds and (began - shown > pause or self.run.step == last):
                yield from self.pictures() if seen else islice(self.pictures(), 1)
                shown = time.monotonic()
                cost = shown - began

    def pictures(self) -> Iterator[Event]:
        """A picture and the splats as they are now."""
        shown = show(self.run)
        return map(before_step_0, shown) if self.drafting else shown

    def logged(self, events: Iterator[Event]) -> Iterator[Event]:
        """Log the events as they pass, and write a checkpoint when one is due by steps or by time.

        Of some steps the splats are kept, see `history`.
        """
        for event in events:
            self.folder.log(event)
            if isinstance(event, StepDone | DraftStep):
                self.last = event.metrics
                overdue = time.monotonic() - self._saved > CHECKPOINT_SECONDS
                if overdue or event.step % self.job.recipe.checkpoint_every == 0:
                    self.checkpoint()
            if isinstance(event, StepDone) and self._history.due(event):
                self._history.keep(event.step, self.run.scene)
            yield event

    def checkpoint(self) -> None:
        """Write the state from which the run can be resumed."""
        spent = {f"spent.{name}": torch.tensor(value, dtype=torch.float64) for name, value in self.cost().items()}
        prefix = DRAFT if self.drafting else ""
        state = {prefix + name: value for name, value in self.run.state_dict().items()}
        self.folder.save(state | spent | {"to_scene": self.to_scene})
        self._saved = time.monotonic()

    def save(self) -> list[str]:
        """Write the checkpoint and the splats, and remove what was made from earlier splats.

        Returns a sentence for the user where the Blender scene of earlier splats was kept under another name.
        """
        self.checkpoint()
        return self.save_splats()

    def save_splats(self) -> list[str]:
        """As `save`, without the checkpoint."""
        notes = list[str]()
        for number, scene in enumerate(self.run.particles, 1):
            folder = self.folder.with_particle(number, self.job)
            with folder.replacing("splats.ply") as file:
                write_ply(scene.splats().placed(self.place()), file)
                notes += folder.remove_derived()
        return notes

    def rescue(self) -> list[str] | None:
        """After an error in the middle of a step: `save`, if the run can go on from this state.

        None if it cannot: the last checkpoint and the results on disk are then left as they are.
        """
        self.run.drop_gradients()
        return self.save() if self.run.resumable() else None

    def place(self) -> Tensor:
        """The matrix (4,4) that is applied to results in their files."""
        return torch.eye(4) if self.folder.served else self.to_scene

    def results(self) -> Generator[Event, None, None]:
        """Make everything that is derived from the finished splats, an event each; metrics.json is the last.

        Whoever stops before that closes it, which keeps the mesh as far as it is refined.
        """
        return make_results(self)

    def cost(self) -> dict[str, float]:
        """What the run has cost so far, in all sessions."""
        now = {
            "prior_calls": self.run.prior.calls,
            "prior_rows": self.run.prior.rows,
            "seconds": time.time() - self.began,
        }
        return {name: self.spent[name] + value for name, value in now.items()}

    def summary(self) -> dict[str, Any]:
        """What was run, and what it cost."""
        run = {"prompt": self.job.prompt, "objective": self.job.objective, "seed": self.job.seed}
        return run | self.cost() | {"steps": self.step, "last": self.last, "to_scene": self.to_scene.tolist()}
