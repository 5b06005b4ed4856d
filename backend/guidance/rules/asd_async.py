"""Async ASD: asynchronous score distillation (Ma et al., ScaleDreamer, 2407.02040).

    g = w(t) [eps_hat(x_t, t) - eps_y(x_t+, t+)],    x_t = alpha_t x + sigma_t eps, the same eps at t+,    w = sigma_t^2
    t+ = t + 0.1 (t - t_min) U(0,1)

VSD trains a second network to estimate the noise of the renders better than the prior does.  The prior itself estimates
it better at higher levels ("earlier" in sampling), so its own estimate at a slightly higher level is subtracted, and
nothing is trained.  With t+ = t the rule is (s - 1) times the direction of guidance, that is CSD.

Decided here:
* t_min is 0.02 T, the lower end of the paper's window, whatever the recipe's window is.
* One shift is drawn per step, as all views share one level (timesteps.py).  Drawing it is an option, as in the released
  code: without it the shift is the largest.
* t+ stops at T - 2, as some schedules end without any signal.
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing
from backend.guidance.guide import estimate_all

T_MIN = 0.02


class AsynchronousOptions(Options, frozen=True):
    """The paper's settings."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma^2"
    shift: Annotated[
        float, Meta(ge=0, le=1, description="How far up the second level lies, as a share of the first one")
    ] = 0.1
    random_shift: Annotated[bool, Meta(description="Draw the shift between none and the largest")] = True


class Asynchronous(Rule[AsynchronousOptions]):
    """One forward of the U-Net a step, of three rows a view."""

    Options = AsynchronousOptions

    def gradient(self, batch: Batch) -> Score:
        """The same noise at two levels, in one forward."""
        o, eps = self.options, batch.noise()
        later = batch.at(shifted(batch.t, o.shift * (batch.draw() if o.random_shift else 1.0), batch.total))
        second = (later.noised(eps), later.t, batch.conditions.y)
        estimates = estimate_all(batch.prior, batch.noised(eps), batch.t, batch.conditions, second)
        eps_hat, (eps_later,) = estimates.hat(o.guidance_scale), estimates.more
        return batch.score(o.weight, eps_hat - eps_later, eps_hat, eps_later)


def shifted(t: Tensor, share: float, total: int) -> Tensor:
    """t+ (B,) for levels t (B,) of `total`."""
    up = (share * (t - T_MIN * total)).clamp(min=0).long()
    return torch.maximum((t + up).clamp(max=total - 2), t)
