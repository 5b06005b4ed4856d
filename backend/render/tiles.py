"""Which tiles of the picture see which projected Gaussians, nearest first: plain torch, on any device.

A Gaussian is drawn inside the ellipse opacity exp(-s) >= 1/255, as in `footprint`, which does the same for the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 16  # pixels; splats.cu has the same
MAX_REACH = 16.0  # opacity 11.7, far above 1
FAR_OFF = 1e6  # pixels; float32 knows no tenth of a pixel beyond


@dataclass(frozen=True)
class Tiles:
    """ids (M,) int32 of Gaussians among all cameras' C*N; those of tile k are ids[offsets[k]:offsets[k+1]]."""

    ids: Tensor
    offsets: Tensor
    across: int
    down: int


def tiles_of(width: int, height: int) -> tuple[int, int]:
    """How many tiles lie across and down a picture."""
    return -(-width // TILE), -(-height // TILE)


def half_sizes(
    means2d: Tensor, factors: Tensor, opacities: Tensor, features: Tensor, in_range: Tensor, width: int, height: int
) -> Tensor:
    """Half the width and height (C,N,2) in pixels of each Gaussian's box; 0 for one that is not to be drawn.

    Not drawn are those out of range, outside of the picture, too faint, and those with a NaN or infinite value.
    """
    (x, y), (p, q, r) = means2d.unbind(-1), factors.unbind(-1)
    reach = 2 * torch.log(255 * opacities)
    half = torch.stack([(reach * (q * q / r + 1 / p)).sqrt(), (reach / r).sqrt()], -1).clamp(max=FAR_OFF)
    sane = (means2d.abs() < FAR_OFF).all(-1) & (p > 0) & (r > 0) & torch.isfinite(q) & (reach > 0) & (reach < MAX_REACH)
    drawn = in_range & sane & torch.isfinite(features.abs().sum(-1)) & torch.isfinite(half).all(-1)
    whole = half.ceil()
    across = (x + whole[..., 0] > 0) & (x - whole[..., 0] < width)
    drawn &= across & (y + whole[..., 1] > 0) & (y - whole[..., 1] < height)
    return torch.where(drawn[..., None], half, 0.0)


def tile_lists(means2d: Tensor, half: Tensor, depths: Tensor, width: int, height: int) -> Tiles:
    """The Gaussians of each tile, for means2d (C,N,2), their boxes' half sizes (C,N,2) and depths (C,N)."""
    cameras, count = depths.shape
    across, down = tiles_of(width, height)
    drawn = (half > 0).all(-1, keepdim=True)
    middle = torch.where(drawn, means2d, 0.0)
    low = ((middle - half) / TILE).floor().long().clamp(min=0)
    beyond = ((middle + half) / TILE).floor().long() + 1
    high = torch.stack([beyond[..., 0].clamp(max=across), beyond[..., 1].clamp(max=down)], -1)
    span = torch.where(drawn, (high - low).clamp(min=0), 0)
    counts = span.prod(-1).flatten()
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    who = torch.repeat_interleave(torch.arange(cameras * count, device=low.device), counts, output_size=total)
    nth = torch.arange(total, device=low.device) - (ends - counts)[who]  # tile of its box, row by row
    wide, first = span[..., 0].flatten()[who], low.view(-1, 2)[who]
    camera = who // max(count, 1)
    tile = camera * (across * down) + (first[:, 1] + nth // wide) * across + first[:, 0] + nth % wide
    # The bits of a positive float rise with it: one sort by tile, and in a tile by depth.
    key = (tile << 32) | depths.flatten()[who].contiguous().view(torch.int32).long()
    key, order = key.sort(stable=True)
    starts = torch.arange(cameras * across * down + 1, device=low.device)
    return Tiles(who[order].int(), torch.searchsorted(key >> 32, starts).int(), across, down)
