"""Finds the level of the density field whose silhouettes fit the splats' own pictures.

A fixed level would be wrong as soon as the opacity or the overlap of the splats changes, but the pictures of the splats
show what is object and what is background.  The silhouette of {F > l} consists of the rays on which max F > l, so one
sort of the rays' maxima gives the overlap (intersection over union) of both silhouettes for every l at once, and the
level with the best overlap is chosen.  For a single splat the answer is known: its footprint in a picture is the
largest density on the ray, so the level is the alpha at which the outline is drawn.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from backend.cameras import Cameras
from backend.export.density_field import Field
from backend.export.views import Array, all_around, photograph
from backend.scenes.splats import Splats

VIEWS, PIXELS, SUPERSAMPLING = 8, 128, 2


@dataclass(frozen=True)
class Silhouettes:
    """cameras (B); solid (B,P,P), true inside the object; opacity, the alpha that its pictures reach."""

    cameras: Cameras
    solid: NDArray[np.bool_]
    opacity: float

    @classmethod
    def of(cls, splats: Splats) -> Silhouettes:
        """Photograph the splats from all around.

        The object is where alpha is above 0.5, or above half of what the more opaque pixels reach, as with glass.
        """
        cameras = all_around(VIEWS)
        # The renderer widens splats by half a pixel; larger pictures, subsampled, make that smaller.
        alpha = photograph(splats, cameras, PIXELS * SUPERSAMPLING, 0.0).alpha[:, ::SUPERSAMPLING, ::SUPERSAMPLING]
        visible = alpha[alpha > 0.02]
        opacity = float(np.quantile(visible, 0.95)) if visible.size else 0.0
        return cls(cameras, alpha > min(0.5, opacity / 2), opacity)


def surface_level(field: Field, silhouettes: Silhouettes) -> tuple[float, float]:
    """The level whose silhouettes overlap best with the pictures, and that overlap (0 to 1)."""
    maxima = ray_maxima(field, silhouettes.cameras).ravel()
    order = np.argsort(-maxima, kind="stable")
    solid = silhouettes.solid.ravel()[order]
    overlap = np.cumsum(solid) / (solid.sum() + np.cumsum(~solid))
    best = int(overlap.argmax())
    level = (maxima[order[best]] + maxima[order[min(best + 1, len(order) - 1)]]) / 2
    return float(level), float(overlap[best])


def ray_maxima(field: Field, cameras: Cameras) -> Array:
    """Largest value of the field (B,P,P) on the rays through the pixels of `Silhouettes`; its minimum for a miss."""
    size = PIXELS * SUPERSAMPLING
    pixel = np.arange(0, size, SUPERSAMPLING) + 0.5 - size / 2
    y, x = np.meshgrid(pixel, pixel, indexing="ij")
    focal = cameras.intrinsics(size, size)[:, 0, 0].numpy()[:, None, None]
    rays = np.stack([x / focal, y / focal, np.ones((len(cameras), PIXELS, PIXELS))], -1)
    rays = np.einsum("bhwi,bij->bhwj", rays / np.linalg.norm(rays, axis=-1, keepdims=True), cameras.viewmats[:, :3, :3])
    maxima = np.full(rays.shape[:3], field.values.min(), np.float32)
    starts = (cameras.positions.numpy() - field.origin) / field.spacing
    for view in range(len(cameras)):
        _march(field.values, starts[view].astype(np.float64), rays[view].astype(np.float64), maxima[view])
    return maxima


@numba.njit(parallel=True, cache=True)
def _march(values: Array, start: Array, rays: Array, maxima: Array) -> None:
    """maxima (P,P): the field's largest trilinear value along start + s * ray, in steps of one voxel, s > 0."""
    for i in numba.prange(rays.shape[0]):
        for j in range(rays.shape[1]):
            near, far = 0.0, np.inf
            for k in range(3):
                step = rays[i, j, k] if abs(rays[i, j, k]) > 1e-9 else 1e-9
                one, two = -start[k] / step, (values.shape[k] - 1.001 - start[k]) / step
                near, far = max(near, min(one, two)), min(far, max(one, two))
            s = near
            while s < far:
                maxima[i, j] = max(maxima[i, j], _trilinear(values, start + s * rays[i, j]))
                s += 1.0


@numba.njit(cache=True)
def _trilinear(values: Array, point: Array) -> float:
    """The field at a point (3,) in voxels, inside the grid."""
    i, j, k = math.floor(point[0]), math.floor(point[1]), math.floor(point[2])
    i, j, k = max(i, 0), max(j, 0), max(k, 0)  # -1e-17 counts as on the border
    u, v, w = point[0] - i, point[1] - j, point[2] - k
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * values[i + a, j + b, k + c]
    return total
