"""The picture of a radiance field along its rays (NeRF, Mildenhall et al. 2003.08934), in plain torch.

A grid holds the logarithm of the density per metre and three logits of colour at each voxel's corner; between corners
they are interpolated before the exponential, which gives sharp surfaces on coarse grids (DVGO, 2111.11215):

    w_i = T_i (1 - exp(-density_i length_i)),  T_i = exp(-sum_{j<i} density_j length_j)

`field_cpu` does the same on the CPU, several times as fast.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.scenes.field_rays import Rays, Samples

MOST = 7.0  # of the density's logarithm: a thousand per metre
OUTPUTS = 6  # red, green, blue, alpha, depth, distortion


def march(grid: Tensor, rays: Rays, samples: Samples) -> Tensor:
    """(N,6): colour times alpha (3), alpha, depth times alpha in metres, distortion; grid (4,R,R,R) by z, y and x."""
    distances, lengths = samples.distances, samples.lengths
    values = interpolated(grid, points(rays, samples))
    weights = ray_weights(values[..., 0], lengths)
    colour = (weights[..., None] * values[..., 1:].sigmoid()).sum(1)
    depth = (weights * distances).sum(1) * rays.depth_per_metre
    return torch.cat([colour, torch.stack([weights.sum(1), depth, distortion(weights, distances, lengths)], 1)], 1)


def points(rays: Rays, samples: Samples) -> Tensor:
    """The samples' places (N,S,3)."""
    return rays.origins[:, None] + rays.directions[:, None] * samples.distances[..., None]


def interpolated(grid: Tensor, places: Tensor) -> Tensor:
    """The grid (C,R,R,R), trilinear, at places (N,S,3): (N,S,C)."""
    found: Tensor = F.grid_sample(grid[None], places[None, None], padding_mode="border", align_corners=True)
    return found[0, :, 0].movedim(0, -1)


def ray_weights(log_density: Tensor, lengths: Tensor) -> Tensor:
    """What each sample (N,S) adds to its pixel."""
    depth = log_density.clamp(max=MOST).exp() * lengths
    before = depth.cumsum(1) - depth
    return (-before).exp() * -torch.expm1(-depth)


def distortion(weights: Tensor, distances: Tensor, lengths: Tensor) -> Tensor:
    """How far the weights (N,S) of each ray are spread along it, (N,) in metres.

    Mip-NeRF 360's sum_ij w_i w_j |t_i - t_j| + sum_i w_i² length_i / 3, by running sums.
    """
    before = weights.cumsum(1) - weights
    reach = (weights * distances).cumsum(1) - weights * distances
    apart = 2 * (weights * (distances * before - reach)).sum(1)
    return apart + (weights.square() * lengths).sum(1) / 3
