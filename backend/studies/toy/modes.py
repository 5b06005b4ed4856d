"""The toy's data: eight Gaussians of width 0.1 on the unit circle, and measures of points among them.

Do, Hua, "Text-to-3D Generation using Jensen-Shannon Score Distillation", supplement, section 4.  A point of the plane
is a picture of one pixel with two channels: (B,2,1,1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from backend.priors.analytic import Analytic, linear

COUNT, STD = 8, 0.1
LANDED = 3.0  # widths from a mode's centre within which a point has landed: 98.9 % of its own points have
HELD = 50  # a mode counts as reached if at least one in 50 points has landed there
HIGHEST = math.log(COUNT)  # entropy in nats of points spread evenly over all modes


def means() -> Tensor:
    """The centres (8,2), 45 degrees apart, the first at (1,0)."""
    angle = torch.arange(COUNT) * (2 * torch.pi / COUNT)
    return torch.stack([angle.cos(), angle.sin()], 1)


def exact_prior() -> Analytic:
    """The prior of a network without error: T = 1000, beta from 1e-4 to 0.02."""
    return Analytic(means()[:, :, None, None], STD, linear())


def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (count,2) of the mixture and the modes (count,) they are from."""
    mode = torch.randint(COUNT, (count,), generator=generator)
    return means()[mode] + STD * torch.randn(count, 2, generator=generator), mode


def landed(points: Tensor) -> Tensor:
    """Points (N,2) -> the mode (N,) each has landed in, or -1 where it is in none."""
    distance, mode = torch.cdist(points, means()).min(1)
    return torch.where(distance < LANDED * STD, mode, -1)


def histogram(mode: Tensor) -> Tensor:
    """Modes (N,), -1 for none -> how many points are in each (8,)."""
    return torch.bincount(mode[mode >= 0], minlength=COUNT)


def entropy(counts: Tensor) -> float:
    """Entropy in nats of a histogram (K,); 0 where it is empty."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * share.log()).sum()) + 0.0


def log_density(points: Tensor, mode: Tensor | None = None) -> Tensor:
    """log p (N,) of points (N,2) under the mixture, or under each point's own mode (N,)."""
    log_p = -(torch.cdist(points, means()) ** 2) / (2 * STD**2) - math.log(2 * math.pi * STD**2)
    if mode is not None:
        return log_p.gather(1, mode[:, None])[:, 0]
    return log_p.logsumexp(1) - HIGHEST
