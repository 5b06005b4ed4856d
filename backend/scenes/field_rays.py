"""Rays of pixels through the unit ball, and where along them a radiance field is sampled.

The chord of a ray in the ball is cut into bins.  A bin where the field is empty gets no samples; the others get them in
proportion to what they add to the picture (mip-NeRF 360's proposal, 2111.12077, here the field's own coarse maximum)
plus an even share, so that what is hidden or faint still learns.  The samples are stratified: the bins' distribution is
cut into equal parts, and each part has one sample, at the same random place within each part of a ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.tensors import onto

BINS = 48
COARSE = 32  # cells along a side of the proposal


@dataclass(frozen=True)
class Rays:
    """N rays: origins and unit directions (N,3), where they enter and leave the unit ball (N,) in metres, and how much
    a camera's depth grows per metre (N,).  A ray that misses the ball leaves where it enters."""

    origins: Tensor
    directions: Tensor
    near: Tensor
    far: Tensor
    depth_per_metre: Tensor

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Samples:
    """Distances (N,S) along N rays, and the length (N,S) of the part of the ray that each stands for; 0 for none."""

    distances: Tensor
    lengths: Tensor


def pixel_rays(cameras: Cameras, width: int, height: int, device: torch.device) -> Rays:
    """The rays through the middles of all pixels, (B*height*width) in this order."""
    matrices, lenses = cameras.viewmats, cameras.intrinsics(width, height)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    across = (x - width / 2) / lenses[:, 0, 0, None, None]
    down = (y - height / 2) / lenses[:, 1, 1, None, None]
    seen = torch.stack([across, down, torch.ones_like(across)], -1)  # in the camera's axes
    lengths = seen.norm(dim=-1, keepdim=True)
    directions = torch.einsum("bhwi,bij->bhwj", seen / lengths, matrices[:, :3, :3])
    origins = cameras.positions[:, None, None].expand_as(directions)
    middle = -(origins * directions).sum(-1)
    half = (1 - (origins + middle[..., None] * directions).square().sum(-1)).clamp(min=0).sqrt()
    near, far = (middle - half).clamp(min=0), (middle + half).clamp(min=0)
    rays = (origins.reshape(-1, 3), directions.reshape(-1, 3), near.flatten(), far.flatten(), 1 / lengths.flatten())
    return Rays(*(onto(value.float().contiguous(), device) for value in rays))


def proposal(log_density: Tensor, empty_below: float) -> Tensor:
    """The most density (C,C,C) in each cell of a coarser grid, from its logarithm (R,R,R).

    It is 0 where the cell and its neighbours are empty.  An empty cell beside others has the limit of what is empty, so
    that it has samples and surfaces can grow into it.
    """
    most = F.adaptive_max_pool3d(log_density[None, None], min(COARSE, len(log_density))).exp()
    around = F.max_pool3d(most, 3, stride=1, padding=1)
    return torch.where(around < empty_below, 0.0, most.clamp(min=max(empty_below, 1e-6)))[0, 0].contiguous()


def sampled(rays: Rays, coarse: Tensor, count: int, explore: float, jitter: Tensor) -> Samples:
    """`count` stratified samples of each ray; jitter (N,) in [0,1) is their place within each part."""
    width = (rays.far - rays.near)[:, None] / BINS
    middles = rays.near[:, None] + (torch.arange(BINS, device=width.device) + 0.5) * width
    density = _nearest(coarse, rays.origins[:, None] + rays.directions[:, None] * middles[..., None])
    there = (density > 0).float()
    depth = density * width
    before = depth.cumsum(1) - depth
    share = (-before).exp() * -torch.expm1(-depth)
    most = there.sum(1, keepdim=True).clamp(min=1)
    share = there * ((1 - explore) * share / share.sum(1, keepdim=True).clamp(min=1e-6) + explore / most)
    total = share.cumsum(1)
    full = total[:, -1:].clamp(min=1e-6)
    edges = torch.arange(count + 1, device=width.device) / count
    places = (torch.arange(count, device=width.device) + jitter[:, None]) / count
    occupied = there.cumsum(1) - there
    bins, inside = _inverse(total, share, edges * full)
    lengths = (occupied.gather(1, bins) + inside) * width
    at, part = _inverse(total, share, places * full)
    alive = (there.sum(1, keepdim=True) > 0) & (width > 0)
    return Samples(rays.near[:, None] + (at + part) * width, torch.where(alive, lengths.diff(dim=1), 0.0).clamp(min=0))


def _inverse(total: Tensor, share: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The bin (N,K) in which the cumulated share (N,BINS) reaches the wanted (N,K), and how far into it, 0 to 1."""
    bins = torch.searchsorted(total, wanted.contiguous()).clamp(max=BINS - 1)
    own = share.gather(1, bins)
    inside = 1 - (total.gather(1, bins) - wanted) / own.clamp(min=1e-9)
    return bins, torch.where(own > 0, inside, 0.0).clamp(0, 1)


def _nearest(coarse: Tensor, points: Tensor) -> Tensor:
    """The value of the cell (C,C,C), by z, y and x, in which each point (...,3) of the cube from -1 to 1 lies."""
    side = len(coarse)
    x, y, z = ((points + 1) * (side / 2)).long().clamp(0, side - 1).unbind(-1)
    return coarse[z, y, x]
