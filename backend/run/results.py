"""What is made of a run's finished splats: turntables, the textured mesh, and metrics.json; of each particle's."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

import msgspec
import torch
from torch import Tensor

from backend.errors import UserError
from backend.export.mesh import extract_mesh
from backend.export.texture import TexturedMesh, bake, unwrap, write_glb
from backend.export.turntable import turntable_png, turntable_webp
from backend.job.job import Job
from backend.run.credits import copyright_of, credits_in, credits_of
from backend.run.distill import Run
from backend.run.events import Event, ResultReady, Warning
from backend.run.folder import REFINEMENT, UNREFINED, JobFolder
from backend.run.refine import refine
from backend.scenes.splats import Splats


class Finished(Protocol):
    """What the results are made of: a session whose steps are done."""

    job: Job
    run: Run
    folder: JobFolder
    notes: list[str]

    device: torch.device
    spent: dict[str, float]

    def place(self) -> Tensor:
        """The matrix (4,4) that is applied to results in their files."""

    def summary(self) -> dict[str, Any]:
        """What was run, and what it cost."""


def make_results(session: Finished) -> Generator[Event, None, None]:
    """Make everything that is derived from the finished splats, an event each; the job's metrics.json is the last.

    Where no surface can be extracted, there is a warning and no mesh; the job does not fail.
    """
    numbered = list(enumerate(session.run.particles, 1))
    for number, scene in reversed(numbered):  # the first one's are in the job's own folder
        folder = session.folder.with_particle(number, session.job)
        for event in _results(session, scene.splats(), folder):
            if number > 1 and isinstance(event, ResultReady):
                yield ResultReady(f"{folder.path.name}/{event.what}")
            else:
                yield event


def _results(session: Finished, splats: Splats, folder: JobFolder) -> Generator[Event, None, None]:
    """The results of one particle, into its folder."""
    with folder.replacing("turntable.png") as file:
        turntable_png(splats, file)
    yield ResultReady("turntable.png")
    with folder.replacing("turntable.webp") as file:
        turntable_webp(splats, file)
    yield ResultReady("turntable.webp")
    credits, started_from = credits_of(session.run.prior.prior, splats), session.folder.started_from()
    metrics: dict[str, Any] = {"splats": len(splats), "credits": [msgspec.to_builtins(one) for one in credits]}
    if started_from:
        metrics["started_from"] = started_from
    copyright, place = copyright_of(credits, credits_in(started_from)), session.place().numpy()

    def write(mesh: TexturedMesh, file_name: str = "mesh.glb") -> None:
        with folder.replacing(file_name) as file:
            write_glb(mesh.placed(place), file, session.job.prompt, copyright)

    notes, mesh, fine = list[str](), None, session.job.recipe.mesh
    try:
        surface = extract_mesh(splats, fine.resolution, fine.faces)
        yield ResultReady("surface")
        mesh = bake(unwrap(surface, fine.texture_side), splats, fine.texture_side)
        write(mesh)
        yield ResultReady("mesh.glb")
        metrics |= {"vertices": len(surface.vertices), "faces": len(surface.faces)}
        notes += surface.warnings
    except UserError as error:
        notes.append(f"No mesh was made: {error}")
    for text in notes:
        session.folder.log(Warning(text))
        yield Warning(text)
    if mesh is not None and fine.refine_steps:
        write(mesh, UNREFINED)
        for event in refine(session, mesh, write, folder):
            session.folder.log(event)
            notes += [event.text] if isinstance(event, Warning) else []
            yield event
        metrics["refine_steps"] = fine.refine_steps
    metrics |= {"placed": not session.folder.served, "notes": [*session.notes, *notes]}
    folder.write_metrics(session.summary() | metrics)
    folder.fence.remove(REFINEMENT)  # large, and of no more use
    yield ResultReady("metrics.json")
