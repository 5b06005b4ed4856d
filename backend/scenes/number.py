"""Another number of splats with the same look: the largest of them, or some split in two.

A run starts with as many splats as its recipe says, however many there are in what it starts from.  A Gaussian of
standard deviation s along an axis is split into two, SHIFT * s to either side of its centre along its longest axis,
which there have s * r with r = sqrt(1 - SHIFT²): the mean and the covariance of the pair are those of the whole.

The opacity b of the two is such that seen from the side they cover as much as the whole with its a, their overlap
counted once: the integrals of a g and of b g₁ + b g₂ - b² g₁ g₂ over the picture are the same where

    2 a = 4 r b - r w b²     with  w = exp(-SHIFT² / r²)

With b such that the pair is as opaque as the whole at its centre, renders were 11 dB farther from those before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from backend.scenes.splats import Splats

SHIFT = 0.5
SHRINK = math.sqrt(1 - SHIFT**2)
OVERLAP = math.exp(-(SHIFT**2) / SHRINK**2)
MOST_OPAQUE = 0.95  # above, a splat hardly learns: its gradient is all but gone


def with_number(splats: Splats, least: int, most: int) -> Splats:
    """At least `least` and at most `most` splats that look as these do, none too opaque to learn; `most` goes first."""
    chosen = largest(splats, most)
    while 0 < len(chosen) < min(least, most):
        chosen = split_largest(chosen, min(len(chosen), min(least, most) - len(chosen)))
    logits = chosen.opacity_logits.clamp(max=math.log(MOST_OPAQUE / (1 - MOST_OPAQUE)))
    return Splats(chosen.means, chosen.quats, chosen.log_scales, logits, chosen.sh)


def largest(splats: Splats, most: int) -> Splats:
    """Of more than `most` splats those that cover the most, in their order."""
    if len(splats) <= most:
        return splats
    kept = _cover(splats).topk(most).indices.sort().values
    return splats.map(lambda values: values[kept])  # type: ignore[index]


def split_largest(splats: Splats, count: int) -> Splats:
    """The splats with `count` of them, those that cover the most, split in two: `count` more."""
    chosen = _cover(splats).topk(count).indices
    log_scales, axis = splats.log_scales[chosen], splats.log_scales[chosen].argmax(1)
    rows = torch.arange(count)
    shift = torch.zeros_like(log_scales)
    shift[rows, axis] = SHIFT * log_scales[rows, axis].exp()
    turned = _rotated(splats.quats[chosen], shift)
    log_scales[rows, axis] += math.log(SHRINK)
    opacity = _half_opacity(splats.opacity_logits[chosen].sigmoid())
    changed = splats.map(torch.clone)
    changed.means[chosen] -= turned
    changed.log_scales[chosen] = log_scales
    changed.opacity_logits[chosen] = opacity.logit()
    new = changed.map(lambda values: values[chosen])  # type: ignore[index]
    new.means.add_(2 * turned)
    parts = zip(vars(changed).values(), vars(new).values(), strict=True)
    return Splats(*(torch.cat(pair) for pair in parts))


def _half_opacity(opacity: Tensor) -> Tensor:
    """The opacity of each of the two, so that together they cover as much as a splat of this opacity (N,)."""
    linear, square = 4 * SHRINK, SHRINK * OVERLAP
    return (linear - (linear**2 - 8 * square * opacity).sqrt()) / (2 * square)


def _cover(splats: Splats) -> Tensor:
    """Logarithm of opacity times the two larger standard deviations (N,)."""
    return splats.opacity_logits.sigmoid().log() + splats.log_scales.sort(1).values[:, 1:].sum(1)


def _rotated(quats: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (N,3) turned by quaternions (N,4) wxyz of any length."""
    w, *xyz = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    axis = torch.stack(xyz, -1)
    across = torch.linalg.cross(axis, vectors)
    turned: Tensor = vectors + 2 * (w[:, None] * across + torch.linalg.cross(axis, across))
    return turned
