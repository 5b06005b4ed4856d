"""Refines the finished mesh: more steps of the same rule, on the mesh's own pictures, at the levels of the run's end.

Where it has stopped is in `refinement.safetensors`, from which it goes on if it was begun from the same mesh.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor

from backend.cameras import orbit
from backend.errors import UserError
from backend.export.texture import TexturedMesh, repainted
from backend.job.job import Job
from backend.job.recipe import Recipe
from backend.run.devices import scene_device
from backend.run.distill import DivergedError, Run, distill
from backend.run.events import Event, MeshStep, Preview, StepDone, Warning
from backend.run.folder import REFINEMENT, JobFolder
from backend.run.memory import is_out_of_memory
from backend.scenes.textured_mesh import MeshScene
from backend.state import below

HIGHEST_LEVEL = 0.5  # share of T: above, a rule changes the shape, which the vertices cannot follow
CHECKPOINT_SECONDS = 12.0
SHOW_SECONDS = 5.0
SIDE = 192  # of its pictures
SEED = 1_000_003  # added to the job's, so that its noise is not that of the splats' first steps


class Finished(Protocol):
    """What it needs of a session whose steps are done."""

    job: Job
    run: Run
    device: torch.device
    spent: dict[str, float]


class Refinement:
    """A finished mesh in the unit ball, on its way to a better one; `step` of `steps` are taken.

    Raises UserError where the mesh cannot be refined.
    """

    def __init__(self, session: Finished, mesh: TexturedMesh, folder: JobFolder) -> None:
        self.mesh, self.session, self.folder = mesh, session, folder
        self.steps = session.job.recipe.mesh.refine_steps
        vertices, inverse = np.unique(mesh.shape.vertices, axis=0, return_inverse=True)
        self.origin = inverse.ravel()  # unwrapping has cut the surface, whose vertices are one again here
        scene = MeshScene(
            vertices, self.origin[mesh.shape.faces], mesh.shape.uvs[mesh.shape.faces], mesh.texture / np.float32(255),
            session.job.recipe.mesh, self.steps, scene_device("mesh", session.device)[0],
        )  # fmt: skip
        generator = torch.Generator().manual_seed((session.job.seed + SEED) % 2**62)
        run = session.run
        recipe = refining(session.job.recipe)
        self.first = recipe.steps  # its steps go on where those of the recipe end, as the schedules stay there
        self.run = Run(scene, run.prior, run.objective, run.prompts, recipe, generator, self.first, views=run.views)
        self.scene, self._calls = scene, (run.prior.calls, run.prior.rows)
        self._before = run.objective.state_dict()
        self._name = fingerprint(mesh)
        self._resume()

    @property
    def step(self) -> int:
        """How many steps are taken."""
        return self.run.step - self.first

    def _resume(self) -> None:
        """Go on from the folder's state, if that is of this mesh and of this many steps."""
        state = self.folder.refinement()
        if state is None or not torch.equal(state.get("mesh_name", torch.empty(0)), self._name):
            return
        if int(state.get("steps", -1)) != self.steps:
            return
        self.run.load_state_dict(below(state, "run."))
        for name in ("prior_calls", "prior_rows"):
            self.session.spent[name] += int(state[f"spent.{name}"])

    def events(self) -> Generator[Event, None, None]:
        """Take the steps that are left; raises DivergedError as `distill` does."""
        for event in distill(self.run, self.first + self.steps):
            if isinstance(event, StepDone):
                yield MeshStep(self.step, self.steps, event.seconds_left, event.metrics)
            else:
                yield event

    @torch.no_grad()
    def picture(self) -> Preview:
        """The mesh as it is now, from its front right."""
        rgb = self.scene.render(orbit(1, start=30.0), SIDE, SIDE, torch.ones(1, 3)).rgb[0]
        return Preview(self.session.run.step, (rgb.clamp(0, 1) * 255).round().byte().cpu().numpy())

    def save(self) -> None:
        """Write the state from which it goes on."""
        state = {f"run.{name}": value for name, value in self.run.state_dict().items()}
        made = (self.run.prior.calls - self._calls[0], self.run.prior.rows - self._calls[1])
        spent = {f"spent.{name}": torch.tensor(n) for name, n in zip(("prior_calls", "prior_rows"), made, strict=True)}
        known = {"mesh_name": self._name, "steps": torch.tensor(self.steps)}
        self.folder.save(state | spent | known, REFINEMENT)

    def result(self) -> TexturedMesh:
        """The mesh as it is now."""
        vertices, texture, tints = self.scene.mesh()
        return repainted(self.mesh, vertices, self.origin, texture, tints)

    def close(self) -> None:
        """Give the rule its state of before back, so that the run can go on."""
        self.run.objective.load_state_dict(self._before)


def refining(recipe: Recipe) -> Recipe:
    """The recipe with the noise levels of its end, of those that change details alone."""
    levels = recipe.timesteps
    high = min(levels.high_end, HIGHEST_LEVEL)
    return msgspec.structs.replace(
        recipe, timesteps=msgspec.structs.replace(levels, low_end=min(levels.low_end, high), high_end=high)
    )


def fingerprint(mesh: TexturedMesh) -> Tensor:
    """32 bytes by which a mesh is known again."""
    digest = hashlib.sha256()
    for part in (mesh.shape.vertices, mesh.shape.uvs, mesh.shape.faces, mesh.texture):
        digest.update(np.ascontiguousarray(part).tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def refine(
    session: Finished, mesh: TexturedMesh, keep: Callable[[TexturedMesh], None], folder: JobFolder
) -> Generator[Event, None, None]:
    """Refine a mesh in the unit ball by the steps that are left, with a picture now and then.

    `folder` has the state from which it goes on.  `keep` gets the mesh as it is at the end, also
    where the caller stops in between.  What ends it early is a warning.
    """
    try:
        refinement = Refinement(session, mesh, folder)
    except UserError as error:
        yield Warning(f"The mesh was not refined: {error}")
        return
    try:
        yield from _watched(refinement)
    except DivergedError as error:
        yield Warning(f"The mesh was refined for {refinement.step} of {refinement.steps} steps only: {error}")
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        refinement.scene.drop_gradients()
        yield Warning(
            f"The mesh was refined for {refinement.step} of {refinement.steps} steps only, as memory ran out: close "
            "other programs, or have fewer views a step (recipe.views of the job file)."
        )
    finally:
        refinement.save()
        refinement.close()
        keep(refinement.result())


def _watched(refinement: Refinement) -> Generator[Event, None, None]:
    """The events, a checkpoint and a picture now and then, and a picture at the end."""
    saved = shown = time.monotonic()
    with closing(refinement.events()) as events:
        for event in events:
            now = time.monotonic()
            if isinstance(event, MeshStep) and now - saved > CHECKPOINT_SECONDS:
                refinement.save()
                saved = now
            yield event
            if isinstance(event, MeshStep) and (now - shown > SHOW_SECONDS or event.step == event.of):
                shown = now
                yield refinement.picture()
