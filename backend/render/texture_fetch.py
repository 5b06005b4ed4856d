"""Reads a texture at places on a mesh: bilinear, from a fitting level of a pyramid of halved pictures (Williams 1983).

Without the pyramid a pixel would read four of the dozens of texels that it covers, and only those four would learn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_HALVINGS = 2  # beyond, a texel of the pyramid mixes colours of islands, which are four texels apart


def fetch(texture: Tensor, uvs: Tensor, footprint: Tensor) -> Tensor:
    """Colours (P,C) of a square texture (S,S,C), top row at v = 1, at uvs (P,2); differentiable in both.

    `footprint` (P,) is the side, in texels, of what a pixel covers, and chooses the level; it has no gradient.  Outside
    [0,1] the texture's border goes on.
    """
    levels = pyramid(texture)
    sides = [len(level) for level in levels]
    flat = torch.cat([level.reshape(-1, texture.shape[-1]) for level in levels])
    level = footprint.detach().clamp(min=1).log2().round().clamp(max=len(levels) - 1).long()
    side = torch.full_like(level, sides[0]) >> level
    start = torch.zeros_like(level)
    for number in range(1, len(levels)):
        start = torch.where(level >= number, start + sides[number - 1] ** 2, start)
    return _bilinear(flat, uvs, side, start)


def pyramid(texture: Tensor) -> list[Tensor]:
    """The texture (S,S,C) and its halvings, as far as its side can be halved."""
    levels = [texture]
    while len(levels) <= MOST_HALVINGS and len(levels[-1]) % 2 == 0:
        channels_first = levels[-1].movedim(-1, 0)[None]
        levels.append(F.avg_pool2d(channels_first, 2)[0].movedim(0, -1))
    return levels


def _bilinear(flat: Tensor, uvs: Tensor, side: Tensor, start: Tensor) -> Tensor:
    """Colours (P,C) between the four texels around each place, of levels with these sides (P,) that begin there."""
    x, y = uvs[:, 0] * side - 0.5, (1 - uvs[:, 1]) * side - 0.5
    left, top = x.detach().floor(), y.detach().floor()
    across, down = (x - left)[:, None], (y - top)[:, None]
    a, b = ((left.long() + k).clamp(min=0).minimum(side - 1) for k in (0, 1))
    c, d = (start + side * (top.long() + k).clamp(min=0).minimum(side - 1) for k in (0, 1))
    upper = (1 - across) * flat.index_select(0, c + a) + across * flat.index_select(0, c + b)
    lower = (1 - across) * flat.index_select(0, d + a) + across * flat.index_select(0, d + b)
    return (1 - down) * upper + down * lower
