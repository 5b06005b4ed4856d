"""Pictures as T3Bench's code takes them: of the textured mesh, unlit, on black, in a cube from -1 to 1.

The mesh's vertices are moved to have their mean at the origin, and scaled so that the largest coordinate is 1.  A job
without a mesh, as `compare` makes them, is seen as splats, moved and scaled the same way by their centres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.cameras import Cameras
from backend.export.texels import rasterise
from backend.export.views import CHUNK
from backend.scenes.initial import in_ball
from backend.scenes.mesh_colours import surface_colours
from backend.scenes.meshes import FAINT, InitialError, Surface, load_surface
from backend.scenes.splats import Splats
from backend.studies.evaluate.finished_job import EvaluationError
from backend.studies.evaluate.protocols.subjects import Subject, seen

Array = NDArray[np.float64]
LEAST = 1e-6  # size of an object, so that a single point does no harm
View = Callable[[Cameras, int], Iterator[Tensor]]  # cameras and side -> pictures (B,S,S,3) in [0,1]


def view_of(subject: Subject) -> tuple[View, str]:
    """How a job's result is seen, and what is seen of it, "mesh" or "splats".

    Raises EvaluationError where the file cannot be read.
    """
    file = subject.folder / "mesh.glb"
    if not file.exists():
        splats = normalised(subject.splats())
        return (lambda cameras, side: seen(splats, cameras, side, 0.0)), "splats"
    try:
        body = Body.of(load_surface(file))
    except InitialError as error:
        raise EvaluationError(f"{subject.folder}: {error}") from error
    return body.pictures, "mesh"


def normalised(splats: Splats) -> Splats:
    """Splats moved and scaled as T3Bench's meshes are, those that hardly show left out of account."""
    solid = splats.opacity_logits.sigmoid() >= FAINT
    centre, size = _placing((splats.means[solid] if solid.any() else splats.means).double().numpy())
    return in_ball(splats, centre, size)


@dataclass(frozen=True)
class Body:
    """The meshes of a file, and the corners (F,3,3) of all their faces, normalised."""

    meshes: list[Any]
    linear: bool
    corners: Array

    @staticmethod
    def of(surface: Surface) -> Body:
        """The body of a file's meshes; InitialError where it has none."""
        if not surface.meshes:
            raise InitialError("mesh.glb has no faces; run generate again to make it anew.")
        centre, size = _placing(np.concatenate([mesh.vertices for mesh in surface.meshes]))
        corners = np.concatenate([mesh.vertices[mesh.faces] for mesh in surface.meshes])
        return Body(surface.meshes, surface.linear, (corners - centre) / size)

    def pictures(self, cameras: Cameras, side: int) -> Iterator[Tensor]:
        """Pictures (B,S,S,3) in [0,1], a few cameras at a time."""
        for start in range(0, len(cameras), CHUNK):
            some = cameras[start : start + CHUNK]
            yield torch.from_numpy(np.stack([self._picture(*matrices, side) for matrices in _matrices(some, side)]))

    def _picture(self, view: Array, intrinsics: Array, side: int) -> NDArray[np.float32]:
        """One picture (S,S,3) by a world-to-camera matrix (4,4) and a pinhole matrix (3,3)."""
        inside = self.corners @ view[:3, :3].T + view[:3, 3]
        nearness = 1 / inside[..., 2]  # every corner is before a camera that stands outside of the cube
        places = (inside @ intrinsics.T)[..., :2] * nearness[..., None]
        screen = np.concatenate([places, nearness[..., None]], -1).astype(np.float32)
        faces, weights, _ = rasterise(screen, side, side)
        covered = faces >= 0
        picture = np.zeros((side, side, 3), np.float32)
        which = faces[covered].astype(np.int64)
        true = weights[covered] * nearness[which]  # from the screen's barycentric weights to the surface's
        picture[covered] = self._colours(which, true / true.sum(1, keepdims=True))
        return picture

    def _colours(self, faces: NDArray[np.int64], barycentric: Array) -> Array:
        colours, first = np.zeros((len(faces), 3)), 0
        for mesh in self.meshes:
            rows = (faces >= first) & (faces < first + len(mesh.faces))
            colours[rows] = surface_colours(mesh, faces[rows] - first, barycentric[rows], self.linear)
            first += len(mesh.faces)
        return colours


def _placing(points: Array) -> tuple[Array, float]:
    centre = points.mean(0)
    return centre, max(float(np.abs(points - centre).max()), LEAST)


def _matrices(cameras: Cameras, side: int) -> Iterator[tuple[Array, Array]]:
    return zip(cameras.viewmats.double().numpy(), cameras.intrinsics(side, side).double().numpy(), strict=True)
