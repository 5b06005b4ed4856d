"""DDIM along one grid of noise levels, upwards (inversion) and downwards (sampling).

Song, Meng, Ermon, "Denoising Diffusion Implicit Models" (2010.02502), eq. 12.  A step from level s to level t keeps
the noise estimate and changes its share:

    x_t = alpha_t x_0 + sigma_t eps(x_s, s),    x_0 = (x_s - sigma_s eps(x_s, s)) / alpha_s

The grid goes down from t in strides of T/steps and ends at the clean sample, whose signal scale is 1: t = 980 of 1000
with 10 steps gives clean, 80, 180, ..., 980.  The first step upwards is therefore the short one; it adds some noise to
the clean sample, from one of two sources:

    "estimate"   eps at level 0, the lowest that the prior knows, as in the papers.
    "noise"      drawn.  A prior that predicts the clean picture hardly knows eps at level 0, where its
                 error is divided by sigma_0 = 0.03: with a small U-Net the noise found had std 0.55 on renders
                 and 1.6 on real views.  With a drawn start and the rest inverted: 0.98 to 1.01 at every level.

The number of forwards is ceil(t * steps / T): ten at 980, six at 600, three at 250; one fewer with a drawn start.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions, guided
from backend.priors.base import Prior

Steps = Annotated[int, Meta(ge=1, le=1000, description="DDIM steps from no noise to full noise")]
InversionScale = Annotated[
    float, Meta(ge=-1000, le=1000, description="Guidance while inverting; 1 asks for the prompt alone")
]
Eta = Annotated[float, Meta(ge=0, le=1, description="Fresh noise in each step of the inversion")]
Start = Annotated[
    Literal["estimate", "noise"], Meta(description="The first step's noise: the prior's estimate, or drawn")
]
CLEAN = -1  # the level below level 0, where there is no noise at all


def levels(t: int, steps: int, total: int) -> list[int]:
    """The levels from CLEAN up to t, total/steps apart, where `total` is the number T of the prior's levels."""
    strides = (round(t - i * total / steps) for i in range(1, steps))
    return [CLEAN, *sorted({t, *(level for level in strides if level > 0)})]


def single_level(t: Tensor) -> int:
    """The one level that all views of t (B,) share."""
    lowest, highest = torch.stack(t.aminmax()).tolist()  # asked for together: each question waits for the card
    assert lowest == highest, "All views of a batch share one noise level."
    return int(lowest)


def estimate(prior: Prior, x_t: Tensor, level: int, conditions: Conditions, scale: float) -> Tensor:
    """eps_hat (B,C,h,w), or for scale 1 the conditional eps_y, at half the cost."""
    t = torch.full((len(x_t),), max(level, 0), device=x_t.device)
    if scale == 1:
        return prior.predict(x_t, t, conditions.y)
    return guided(prior, x_t, t, conditions, scale)[0]


def ddim_inversion(
    batch: Batch, steps: int, guidance_scale: float, eta: float = 0.0, start: Start = "estimate"
) -> tuple[Tensor, Tensor]:
    """From the clean batch up to its level t: (x_t, eps_inv), both (B,C,h,w), x_t = alpha_t x + sigma_t eps_inv.

    With eta > 0 each step receives fresh noise of eta times DDPM's posterior standard deviation between its two
    levels.  It is added without reducing the direction term, so x_t is a little too noisy, as in the released code of
    SDI and of JSD.  The first step starts from clean, where that deviation is zero.
    """
    prior, x_t = batch.prior, batch.x
    for lower, upper in pairwise(levels(single_level(batch.t), steps, batch.total)):
        below, above = _alpha_bar(prior, lower), _alpha_bar(prior, upper)
        drawn = start == "noise" and lower == CLEAN
        eps = batch.noise() if drawn else estimate(prior, x_t, lower, batch.conditions, guidance_scale)
        x_t = ddim_step(x_t, eps, below, above)
        if eta > 0:
            variance = (1 - below) / (1 - above) * (1 - above / below)
            x_t = x_t + eta * variance.sqrt() * batch.noise()
    return x_t, (x_t - above.sqrt() * batch.x) / (1 - above).sqrt()


def ddim_sample(
    prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions, steps: int, guidance_scale: float
) -> Tensor:
    """From x_t (B,C,h,w) at level t (B,) down the same grid to a clean sample (B,C,h,w), without further noise.

    Pure noise at t = T-1 gives a new picture.
    """
    for upper, lower in pairwise(reversed(levels(single_level(t), steps, len(prior.alphas_cumprod)))):
        eps = estimate(prior, x_t, upper, conditions, guidance_scale)
        x_t = ddim_step(x_t, eps, _alpha_bar(prior, upper), _alpha_bar(prior, lower))
    return x_t


def _alpha_bar(prior: Prior, level: int) -> Tensor:
    return torch.ones_like(prior.alphas_cumprod[0]) if level == CLEAN else prior.alphas_cumprod[level]


def ddim_step(x: Tensor, eps: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Eq. 12 for x and eps (B,C,h,w), between two values of alpha-bar."""
    x_0 = (x - (1 - here).sqrt() * eps) / here.sqrt()
    return there.sqrt() * x_0 + (1 - there).sqrt() * eps
