"""A radiance field as splats that look like it, and splats as the field that a run starts from.

Each corner of the grid that can be seen becomes a round splat.  Its optical depth is that of the corner's share of the
volume: splats of peak depth a and standard deviation s, one for each h², have a mean depth of 2 pi a s² / h², which for
a layer of density d is d h.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.render import SH_C0, rotation_matrices
from backend.scenes.field_cpu import march_on_cpu, sampled_on_cpu
from backend.scenes.field_grid import EMPTY, corners, resized
from backend.scenes.field_march import MOST
from backend.scenes.field_rays import pixel_rays, proposal
from backend.scenes.settings import FieldSettings
from backend.scenes.splats import Splats

VIEWS, FRAMING, FOV = 24, 1.05, 40.0
WIDTH = 0.5  # standard deviation of a splat, in spacings of the grid
MOST_OPAQUE = 0.995
SEEN = 0.98  # of all that is seen is kept; the rest is haze
DOTS = 64  # random places in a splat that carry its matter onto the grid
DENSEST = 100.0  # per metre, at a start: a denser field hardly learns


@torch.no_grad()
def as_splats(grid: Tensor, settings: FieldSettings) -> Splats:
    """Splats of the corners of a field (4,R,R,R) that can be seen, at most `splats_max`; the most visible first."""
    side = grid.shape[-1]
    seen = visible(grid, settings).flatten()
    order = seen.argsort(descending=True)
    share = seen[order].double().cumsum(0) / seen.double().sum().clamp(min=1e-12)
    some = min(int((share < SEEN).sum()) + 1, int((seen > 0).sum()), settings.splats_max)
    count = max(some, 1)  # of an empty field one that cannot be seen, as nobody expects none
    rows, spacing = order[:count], 2 / (side - 1)
    depth = _spread_density(grid[0]).flatten()[rows] * spacing / (2 * math.pi * WIDTH**2)
    opacity = (-torch.expm1(-depth)).clamp(1e-4, MOST_OPAQUE)
    colour = grid[1:].flatten(1).T[rows].sigmoid()
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1)
    sizes = torch.full((count, 3), math.log(WIDTH * spacing))
    return Splats(corners(side).view(-1, 3)[rows], quats, sizes, opacity.logit(), ((colour - 0.5) / SH_C0)[:, None])


def visible(grid: Tensor, settings: FieldSettings) -> Tensor:
    """How much each corner (R,R,R) adds to pictures from all around.

    It is the derivative of the pictures by the corner's colour, all else being equal.
    """
    side = grid.shape[-1]
    grey = torch.cat([grid[:1], torch.zeros_like(grid[1:])]).requires_grad_()
    rays = pixel_rays(_all_around(), side, side, torch.device("cpu"))
    coarse = proposal(grid[0], settings.empty_below)
    middle = torch.full((len(rays),), 0.5)
    samples = sampled_on_cpu(rays, coarse, settings.samples, settings.explore, middle)
    with torch.enable_grad():
        red = march_on_cpu(grey, rays, samples)[:, 0].sum()
    return torch.autograd.grad(red, grey)[0][1]


def _all_around() -> Cameras:
    """Cameras spread evenly over the sphere (a Fibonacci lattice)."""
    row = torch.arange(VIEWS) + 0.5
    elevation = torch.rad2deg(torch.asin(1 - 2 * row / VIEWS))
    azimuth = (row * 180.0 * (3 - math.sqrt(5))) % 360.0
    distance = torch.full((VIEWS,), FRAMING / math.sin(math.radians(FOV) / 2))
    return Cameras(azimuth, elevation, distance, torch.full((VIEWS,), FOV))


def _spread_density(log_density: Tensor) -> Tensor:
    """The mean density around each corner (R,R,R): its logarithm is linear between corners, its mean is not."""
    fine = resized(log_density[None], 2 * len(log_density) - 1).clamp(max=MOST).exp()
    fine = F.pad(fine[None], (1,) * 6, mode="replicate")[0, 0]
    for axis in range(3):
        line = fine.movedim(axis, -1)
        fine = (line[..., :-2:2] / 4 + line[..., 1:-1:2] / 2 + line[..., 2::2] / 4).movedim(-1, axis)
    return fine


@torch.no_grad()
def as_field(splats: Splats, side: int, generator: torch.Generator) -> Tensor:
    """A field (4,side,side,side) that looks like the splats, which lie in the unit ball; grey where there are none.

    A splat of peak depth a holds 2 pi a s₁ s₂ of matter, where s₁ and s₂ are its larger sizes: seen along its smallest
    it has that depth.  Random places within it carry that to the corners around them.
    """
    scales = splats.log_scales.exp()
    depth = -torch.log1p(-splats.opacity_logits.sigmoid().clamp(max=MOST_OPAQUE))
    matter = 2 * math.pi * depth * scales.sort(1).values[:, 1:].prod(1) / DOTS
    dots = torch.randn(len(splats), DOTS, 3, generator=generator) * scales[:, None]
    places = (splats.means[:, None] + dots @ rotation_matrices(splats.quats).transpose(1, 2)).view(-1, 3)
    what = torch.cat([torch.ones(len(splats), 1), splats.rgb.clamp(0.01, 0.99)], 1) * matter[:, None]
    total = _carried(places, what.repeat_interleave(DOTS, 0), side)
    amount = total[0].clamp(min=1e-12)
    density = (amount * ((side - 1) / 2) ** 3).clamp(math.exp(EMPTY), DENSEST)
    colour = torch.where(total[0] > 1e-12, total[1:] / amount, 0.5).clamp(0.01, 0.99)
    return torch.cat([density.log()[None], colour.logit()])


def _carried(places: Tensor, what: Tensor, side: int) -> Tensor:
    """The sums (C,side,side,side) of `what` (N,C) at the corners around each place (N,3), by trilinear shares."""
    at = ((places + 1) / 2 * (side - 1)).clamp(0, side - 1.001)
    low = at.long()
    part = at - low
    total = torch.zeros(side**3, what.shape[1])
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2])
        share = torch.where(step.bool(), part, 1 - part).prod(1, keepdim=True)
        x, y, z = (low + step).unbind(1)
        total.index_add_(0, (z * side + y) * side + x, share * what)
    return total.T.reshape(-1, side, side, side)
