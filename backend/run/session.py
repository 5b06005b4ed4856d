"""One session of work on a job, the same for the command line, the worker and the studies.

Call `Session.begin` or `Session.resume`, then `steps`, `save` and `results`.  Steps and results are generators: the
caller shows or sends their events, and stops by not asking for the next one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import torch
from torch import Tensor

from backend.errors import UserError
from backend.export.mesh import extract_mesh
from backend.export.texture import bake, unwrap, write_glb
from backend.export.turntable import turntable_png, turntable_webp
from backend.files import replacing
from backend.job.job import Job
from backend.priors.base import Prior
from backend.run.assemble import assemble, load_prior
from backend.run.credits import copyright_of, credits_of
from backend.run.devices import choose_device, unused_card
from backend.run.distill import distill, show
from backend.run.events import Event, ResultReady, StepDone, Warning
from backend.run.folder import JobFolder
from backend.run.memory import views_that_fit
from backend.run.threads import use_threads
from backend.scenes.ply import write_ply

CHECKPOINT_SECONDS = 12.0
SHOW_COST = 0.1  # of the run's time may go into pictures, at most


class Session:
    """A job's run, its folder, and `notes`: sentences for the user.

    With `resume` it loads the folder's checkpoint and does not read the initial mesh: its place is in the checkpoint.

    Raises UserError where the job cannot be run: no such device, or a prior, mesh or checkpoint that cannot be read.
    """

    def __init__(self, job: Job, folder: JobFolder, resume: bool = False) -> None:
        self.job, self.folder, self.began = job, folder, time.time()
        state = folder.load() if resume else {}
        device = choose_device(job.device)
        prior, notes = load_prior(job, device)
        self.notes = [*unused_card(job.device), *notes]
        use_threads(prior)
        self.run, self.to_scene = assemble(job, prior, device, self.notes.append, state.get("to_scene"))
        self._fit_views(prior)
        self.last: dict[str, float] = {}
        self.spent: dict[str, float] = {"prior_calls": 0, "prior_rows": 0, "seconds": 0.0}  # before this session
        self._saved = time.monotonic()
        if resume:
            self._restore(state)

    def _fit_views(self, prior: Prior) -> None:
        """Take fewer views a step than the recipe has where the card has no room for all."""
        wanted = self.run.views
        self.run.views = views_that_fit(prior, wanted)
        if self.run.views < wanted:
            self.notes.append(
                f"The graphics card has room for {self.run.views} of the {wanted} views a step, so the run takes "
                "longer to settle: close other programs that use the card, or take a smaller model."
            )

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
        self.run.load_state_dict(state)

    def steps(self, until: int, show_seconds: float = 0.0) -> Iterator[Event]:
        """Take steps up to `until`, with a checkpoint now and then.

        With `show_seconds`, a picture and the splats after the first and the last step, and every so many seconds in
        between, as long as that costs no more than a tenth of the time.  Raises DivergedError as `distill` does.
        """
        yield from self._logged(Warning(text) for text in self.notes)
        shown, pause = 0.0, show_seconds
        for event in self._logged(distill(self.run, until)):
            yield event
            began = time.monotonic()
            if show_seconds and (began - shown > pause or self.run.step == until):
                yield from show(self.run)
                shown = time.monotonic()
                pause = max(show_seconds, (shown - began) / SHOW_COST)

    def _logged(self, events: Iterator[Event]) -> Iterator[Event]:
        """Log the events as they pass, and write a checkpoint when one is due by steps or by time."""
        for event in events:
            self.folder.log(event)
            if isinstance(event, StepDone):
                self.last = event.metrics
                overdue = time.monotonic() - self._saved > CHECKPOINT_SECONDS
                if overdue or event.step % self.job.recipe.checkpoint_every == 0:
                    self.checkpoint()
            yield event

    def checkpoint(self) -> None:
        """Write the state from which the run can be resumed."""
        spent = {f"spent.{name}": torch.tensor(value, dtype=torch.float64) for name, value in self.cost().items()}
        state: dict[str, Tensor] = self.run.state_dict() | spent | {"to_scene": self.to_scene}
        self.folder.save(state)
        self._saved = time.monotonic()

    def save(self) -> list[str]:
        """Write the checkpoint and the splats, and remove what was made from earlier splats.

        Returns a sentence for the user where the Blender scene of earlier splats was kept under another name.
        """
        self.checkpoint()
        return self.save_splats()

    def save_splats(self) -> list[str]:
        """As `save`, without the checkpoint."""
        with replacing(self.folder / "splats.ply") as file:
            write_ply(self.run.scene.splats().placed(self._place()), file)
            return self.folder.remove_derived()

    def rescue(self) -> list[str] | None:
        """After an error in the middle of a step: `save`, if the run can go on from this state.

        None if it cannot: the last checkpoint and the results on disk are then left as they are.
        """
        self.run.scene.drop_gradients()
        return self.save() if self.run.resumable() else None

    def _place(self) -> Tensor:
        """The matrix (4,4) that is applied to results in their files."""
        return torch.eye(4) if self.folder.served else self.to_scene

    def results(self) -> Iterator[Event]:
        """Make everything that is derived from the finished splats, an event each; metrics.json is the last.

        Where no surface can be extracted, there is a warning and no mesh; the job does not fail.
        """
        splats = self.run.scene.splats()
        turntable_png(splats, self.folder / "turntable.png")
        yield ResultReady("turntable.png")
        turntable_webp(splats, self.folder / "turntable.webp")
        yield ResultReady("turntable.webp")
        credits = credits_of(self.run.prior.prior, splats)
        metrics: dict[str, Any] = {"splats": len(splats), "credits": [msgspec.to_builtins(one) for one in credits]}
        try:
            surface = extract_mesh(splats)
            yield ResultReady("surface")
            textured = bake(unwrap(surface), splats).placed(self._place().numpy())
            write_glb(textured, self.folder / "mesh.glb", self.job.prompt, copyright_of(credits))
            yield ResultReady("mesh.glb")
            metrics |= {"vertices": len(surface.vertices), "faces": len(surface.faces)}
            notes = surface.warnings
        except UserError as error:
            notes = (f"No mesh was made: {error}",)
        yield from self._logged(Warning(text) for text in notes)
        metrics |= {"placed": not self.folder.served, "notes": [*self.notes, *notes]}
        self.folder.write_metrics(self.summary() | metrics)
        yield ResultReady("metrics.json")

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
        return run | self.cost() | {"steps": self.run.step, "last": self.last, "to_scene": self.to_scene.tolist()}
