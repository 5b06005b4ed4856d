"""Penalties on a radiance field, each a pure function with a scalar result."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.scenes.field_march import interpolated, points, ray_weights
from backend.scenes.field_rays import Rays, Samples

EVERY = 4  # of the rays, whose number would make it slow


def grid_variation(grid: Tensor) -> Tensor:
    """Mean absolute difference of the grid's (C,R,R,R) neighbours along the three axes, summed over these."""
    shifts = (grid[:, 1:] - grid[:, :-1], grid[:, :, 1:] - grid[:, :, :-1], grid[..., 1:] - grid[..., :-1])
    return sum((shift.abs().mean() for shift in shifts), torch.zeros((), device=grid.device))


def facing_away(grid: Tensor, rays: Rays, samples: Samples) -> Tensor:
    """Mean over rays of what is seen of surfaces that face away: sum_i w_i max(0, n_i·d)² (Ref-NeRF, 2112.03907).

    n points against the density's gradient; the weights are constants, as in threestudio.  Of four rays one counts.
    """
    some = slice(None, None, EVERY)
    fewer = Rays(*(getattr(rays, name)[some] for name in ("origins", "directions", "near", "far", "depth_per_metre")))
    along = Samples(samples.distances[some], samples.lengths[some])
    places = points(fewer, along)
    slopes = torch.stack([torch.gradient(grid[0], dim=axis)[0] for axis in (2, 1, 0)])  # by x, y and z
    normals = -torch.nn.functional.normalize(interpolated(slopes, places), dim=-1)
    weights = ray_weights(interpolated(grid[:1], places)[..., 0], along.lengths).detach()
    away = (normals * fewer.directions[:, None]).sum(-1).clamp(min=0)
    return (weights * away.square()).sum(1).mean()
