"""One session of work on a job, the same for the command line, the worker and the studies.

`Session.begin` or `Session.resume`, then `steps` to the last one, `save`, `results`.  Steps and results are generators:
whoever drives them shows or sends the events, and stops by not asking for the next one.
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
from backend.run.assemble import assemble, choose_device, load_prior
from backend.run.credits import copyright_of, credits_of
from backend.run.distill import distill, show
from backend.run.events import Event, Made, StepDone, Warning
from backend.run.folder import JobFolder
from backend.scenes.ply import write_ply

CHECKPOINT_SECONDS = 12.0
SHOW_COST = 0.1  # the most of the run's time that pictures may take


class Session:
    """A job's run, where it is kept, and what there is to tell about it.

    With `resume` it takes up the folder's checkpoint, and needs no mesh: what began with one knows where it stood.

    Raises UserError where the job cannot be run: no such device, a prior, a mesh or a checkpoint that cannot be read.
    """

    def __init__(self, job: Job, folder: JobFolder, resume: bool = False) -> None:
        self.job, self.folder, self.began = job, folder, time.time()
        state = folder.load() if resume else {}
        device = choose_device(job.device)
        prior, self.notes = load_prior(job, device)
        self.run, self.to_scene = assemble(job, prior, device, self.notes.append, state.get("to_scene"))
        self.last: dict[str, float] = {}
        self.spent: dict[str, float] = {"prior_calls": 0, "prior_rows": 0, "seconds": 0.0}  # before this session
        self._saved = time.monotonic()
        if resume:
            self._take_up(state)

    @classmethod
    def begin(cls, job: Job, folder: JobFolder) -> Session:
        """A new run.  Nothing is written before it is known that the job can be run."""
        session = cls(job, folder)
        session.notes += folder.begin(job)
        return session

    @classmethod
    def resume(cls, folder: JobFolder) -> Session:
        """The run that was stopped there; JobError where there is none, or none that can be read."""
        return cls(folder.job(), folder, resume=True)

    def _take_up(self, state: dict[str, Tensor]) -> None:
        self.spent = {
            name: type(none)(state[f"spent.{name}"]) if f"spent.{name}" in state else none
            for name, none in self.spent.items()
        }
        self.run.load_state_dict(state)

    def steps(self, until: int, show_seconds: float = 0.0) -> Iterator[Event]:
        """Go on to step `until`, and save now and then.

        With `show_seconds`, a picture and the splats after the first and the last step, and between them that often but
        for no more than a tenth of the time.  Raises DivergedError where a step would have spoilt the splats.
        """
        yield from self._told(Warning(text) for text in self.notes)
        shown, pause = 0.0, show_seconds
        for event in self._told(distill(self.run, until)):
            yield event
            began = time.monotonic()
            if show_seconds and (began - shown > pause or self.run.step == until):
                yield from show(self.run)
                shown = time.monotonic()
                pause = max(show_seconds, (shown - began) / SHOW_COST)

    def _told(self, events: Iterator[Event]) -> Iterator[Event]:
        """Log the events on their way, and save the state where the recipe or the clock says so."""
        for event in events:
            self.folder.log(event)
            if isinstance(event, StepDone):
                self.last = event.metrics
                overdue = time.monotonic() - self._saved > CHECKPOINT_SECONDS
                if overdue or event.step % self.job.recipe.checkpoint_every == 0:
                    self.checkpoint()
            yield event

    def checkpoint(self) -> None:
        """Write the state to go on from."""
        spent = {f"spent.{name}": torch.tensor(value, dtype=torch.float64) for name, value in self.cost().items()}
        state: dict[str, Tensor] = self.run.state_dict() | spent | {"to_scene": self.to_scene}
        self.folder.save(state)
        self._saved = time.monotonic()

    def save(self) -> list[str]:
        """The state to go on from, and the splats to look at; what was made of earlier ones goes.

        What of that is kept under another name is told in sentences.
        """
        self.checkpoint()
        return self.save_splats()

    def save_splats(self) -> list[str]:
        """The splats to look at, without a state to go on from; as `save` otherwise."""
        with replacing(self.folder / "splats.ply") as file:
            write_ply(self.run.scene.splats().placed(self._place()), file)
            return self.folder.outdate()

    def rescue(self) -> list[str] | None:
        """After an error in the middle of a step: `save`, if the state is one to go on from.

        None if not: then the last checkpoint stands, and what there is of results.
        """
        self.run.scene.forget()
        return self.save() if self.run.whole() else None

    def _place(self) -> Tensor:
        """The matrix (4,4) by which results stand in their files."""
        return torch.eye(4) if self.folder.served else self.to_scene

    def results(self) -> Iterator[Event]:
        """Make everything that is made of the finished splats, an event each; metrics.json is the last.

        A surface that cannot be made is a warning, no failure.
        """
        splats = self.run.scene.splats()
        turntable_png(splats, self.folder / "turntable.png")
        yield Made("turntable.png")
        turntable_webp(splats, self.folder / "turntable.webp")
        yield Made("turntable.webp")
        credits = credits_of(self.run.prior.prior, splats)
        figures: dict[str, Any] = {"splats": len(splats), "credits": [msgspec.to_builtins(one) for one in credits]}
        try:
            surface = extract_mesh(splats)
            yield Made("surface")
            textured = bake(unwrap(surface), splats).placed(self._place().numpy())
            write_glb(textured, self.folder / "mesh.glb", self.job.prompt, copyright_of(credits))
            yield Made("mesh.glb")
            figures |= {"vertices": len(surface.vertices), "faces": len(surface.faces)}
            notes = surface.warnings
        except UserError as error:
            notes = (f"No mesh was made: {error}",)
        yield from self._told(Warning(text) for text in notes)
        figures |= {"placed": not self.folder.served, "notes": [*self.notes, *notes]}
        self.folder.write_metrics(self.figures() | figures)
        yield Made("metrics.json")

    def cost(self) -> dict[str, float]:
        """What the run has cost so far, in all sessions."""
        now = {
            "prior_calls": self.run.prior.calls,
            "prior_rows": self.run.prior.rows,
            "seconds": time.time() - self.began,
        }
        return {name: self.spent[name] + value for name, value in now.items()}

    def figures(self) -> dict[str, Any]:
        """What the run was, and what it cost."""
        said = {"prompt": self.job.prompt, "objective": self.job.objective, "seed": self.job.seed}
        return said | self.cost() | {"steps": self.run.step, "last": self.last, "to_scene": self.to_scene.tolist()}
