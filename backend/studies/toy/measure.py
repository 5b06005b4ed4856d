"""Measures how well a control variate follows the estimate, and how much of a gradient is noise.

A control variate c lowers the variance of e - c over the draws of the noise if it follows e *from draw to draw, at one
point and one level*.  A correlation over all points, levels and coordinates is something else: it includes whatever
moves e and c together, above all the guidance term, which is the same for every draw.  Both are computed:

    pooled    Pearson's correlation of all entries, like a run's metric "corr"
    within    sum of covariances over sqrt(sum of variances), each at one point, level and coordinate
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.guidance.base import Batch, Objective, correlation
from backend.priors.base import Prior
from backend.studies.toy.experiment import conditions
from backend.studies.toy.modes import COUNT, draw

LEVELS, POINTS, DRAWS, SPREAD = 12, 32, 32, 0.3


@dataclass(frozen=True)
class Probe:
    """A rule at L levels, P points, D draws of the noise."""

    levels: Tensor  # (L,)
    gradient: Tensor  # (L,P,D,2)
    estimate: Tensor | None  # (L,P,D,2)
    control: Tensor | None  # (L,P,D,2)


def probe(objective: Objective, prior: Prior, classes: bool, seed: int = 0) -> Probe:
    """Draws at random points around the modes, with a deviation of 0.3, each conditioned on a mode or on none.

    Points, levels and classes are the same for every rule.  What the rule has trained is used but not changed.
    """
    objective, generator = copy.deepcopy(objective), torch.Generator().manual_seed(seed)
    x, _ = draw(POINTS, generator)
    x = (x + SPREAD * torch.randn(POINTS, 2, generator=generator)).repeat_interleave(DRAWS, 0)[:, :, None, None]
    target = torch.randint(COUNT, (POINTS,), generator=generator).repeat_interleave(DRAWS) if classes else None
    condition = conditions(prior, target, len(x))
    levels = torch.linspace(0.02, 0.98, LEVELS).mul(len(prior.alphas_cumprod)).round().long()
    scores = [
        objective.gradient(Batch(prior, x, level.expand(len(x)), condition, 1 - float(level) / 1000, generator))
        for level in levels
    ]
    parts = (_cells([getattr(score, name) for score in scores]) for name in ("gradient", "estimate", "control"))
    gradient, estimate, control = parts
    assert gradient is not None
    return Probe(levels, gradient, estimate, control)


def _cells(rows: list[Tensor | None]) -> Tensor | None:
    """L of (P*D,2,1,1) -> (L,P,D,2)."""
    known = [row.detach().reshape(POINTS, DRAWS, 2) for row in rows if row is not None]
    return torch.stack(known) if len(known) == len(rows) else None


def pooled(estimate: Tensor | None, control: Tensor | None) -> float | None:
    """Pearson's correlation over all entries; None without a control variate, or if one is constant."""
    if estimate is None or control is None:
        return None
    value = float(correlation(estimate, control))
    return value if math.isfinite(value) else None


def within(estimate: Tensor | None, control: Tensor | None) -> float | None:
    """Correlation from draw to draw of (...,D,2), after subtracting the mean over the draws.

    0 where either does not depend on the draw.
    """
    if estimate is None or control is None:
        return None
    e, c = (a.double() - a.double().mean(-2, keepdim=True) for a in (estimate, control))
    scale = (e.square().mean() * c.square().mean()).sqrt()
    return float((e * c).mean() / scale) if scale > 1e-9 else 0.0


def variance(gradient: Tensor) -> float:
    """Variance of a gradient (...,D,2) over the draws, summed over coordinates, averaged over points and levels."""
    return float(gradient.var(-2).sum(-1).mean())


def noise_share(gradient: Tensor) -> float:
    """The share of that variance in the gradient's mean square: 0 for the same step at every draw, 1 for pure noise."""
    spread = gradient.var(-2, correction=0).sum(-1).mean()
    return float(spread / gradient.square().sum(-1).mean())
