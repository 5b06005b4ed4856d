"""The splats as a scalar field on a grid: D(x) = sum_i o_i exp(-d' S_i^-1 d / 2), d = x - mean_i.

The field of DreamGaussian (Tang et al. 2023, section 3.2), with one change: S_i is the splat's covariance plus that
of a ball of half a voxel.  Otherwise discs thinner than the grid's spacing would fall between its points (this is the
low-pass filter of EWA splatting, Zwicker et al. 2001, in space).
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from backend.export.views import Array
from backend.render import rotation_matrices
from backend.scenes.splats import Splats

CUTOFF = 3.0  # a Gaussian ends at 3 sigma, where it has 1 % of its height
LOW_PASS = 0.5  # sigma of the added ball, in voxels
MARGIN = 8  # empty voxels around the box, so that surfaces are closed and `solid.closed` has room


@dataclass(frozen=True)
class Field:
    """values (X,Y,Z) at the points origin + spacing * index; origin (3,) and spacing in metres."""

    values: Array
    origin: Array
    spacing: float


def extent(splats: Splats) -> tuple[Array, Array]:
    """Lower and upper corner (3,), (3,) of the box that contains every splat up to the cutoff."""
    half = CUTOFF * np.sqrt(
        np.einsum("nij,nj->ni", rotation_matrices(splats.quats).numpy() ** 2, np.exp(2 * splats.log_scales.numpy()))
    )
    means = splats.means.numpy()
    return (means - half).min(0), (means + half).max(0)


def density_field(splats: Splats, low: Array, high: Array, resolution: int) -> Field:
    """D on a grid over the box low, high (3,), (3,), `resolution` points along its longest side, and a margin."""
    spacing = float((high - low).max()) / (resolution - 1)
    shape = np.ceil((high - low) / spacing).astype(int) + 1 + 2 * MARGIN
    origin = ((low + high) / 2 - spacing * (shape - 1) / 2).astype(np.float32)
    axes = rotation_matrices(splats.quats).numpy()
    variances = np.exp(2 * splats.log_scales.numpy()) + np.float32(LOW_PASS * spacing) ** 2
    precisions = np.einsum("nij,nj,nkj->nik", axes, 1 / variances, axes)
    half = CUTOFF * np.sqrt(np.einsum("nij,nj->ni", axes**2, variances))
    values = np.zeros(shape, np.float32)
    _accumulate(
        ((splats.means.numpy() - origin) / spacing).astype(np.float32),
        (precisions * spacing**2).astype(np.float32),
        (half / spacing).astype(np.float32),
        splats.opacity_logits.sigmoid().numpy(),
        values,
    )
    return Field(values, origin, spacing)


@numba.njit(parallel=True, cache=True)
def _accumulate(means: Array, precisions: Array, half: Array, opacities: Array, out: Array) -> None:
    """out += o exp(-d' P d / 2), everything in voxels; each plane of x has one writer."""
    nx, ny, nz = out.shape
    for i in numba.prange(nx):
        for g in range(len(means)):
            x = i - means[g, 0]
            if abs(x) > half[g, 0]:
                continue
            p = precisions[g]
            first, last = math.ceil(means[g, 1] - half[g, 1]), math.floor(means[g, 1] + half[g, 1])
            for j in range(max(0, first), min(ny - 1, last) + 1):
                y = j - means[g, 1]
                # Along z the exponent is a parabola: a z^2 + 2 b z + c.  Visit only the part inside the cutoff.
                a, b = p[2, 2], p[0, 2] * x + p[1, 2] * y
                c = p[0, 0] * x * x + p[1, 1] * y * y + 2 * p[0, 1] * x * y
                root = b * b - a * (c - CUTOFF * CUTOFF)
                if root < 0:
                    continue
                middle, reach = means[g, 2] - b / a, math.sqrt(root) / a
                for k in range(max(0, math.ceil(middle - reach)), min(nz - 1, math.floor(middle + reach)) + 1):
                    z = k - means[g, 2]
                    out[i, j, k] += opacities[g] * math.exp(-0.5 * ((a * z + 2 * b) * z + c))
