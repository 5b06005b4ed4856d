"""SDS: score distillation sampling (Poole et al., DreamFusion, 2209.14988).

    g = w(t) (eps_hat(x_t) - eps),    x_t = alpha_t x + sigma_t eps,    w = sigma_t^2

The noise eps is a control variate: it has mean zero, so it changes the variance of the step and not its mean.
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Conditions, Options, Score, Stateless, Weight, guided, noise_like, scored, weight
from backend.priors.base import Prior, alpha_sigma


class SDSOptions(Options, frozen=True):
    """DreamFusion's settings."""

    guidance_scale: Annotated[float, Meta(ge=0, le=1000, description="How strongly the prompt pulls")] = 100.0
    weight: Annotated[Weight, Meta(description="How much each noise level counts")] = "sigma^2"


class SDS(Stateless):
    """One forward of the U-Net a step."""

    Options = SDSOptions

    def __init__(self, options: SDSOptions) -> None:
        self.options = options

    @torch.no_grad()
    def gradient(
        self, prior: Prior, x: Tensor, t: Tensor, conditions: Conditions, progress: float, generator: torch.Generator
    ) -> Score:
        """x (B,C,h,w), t (B,) -> the gradient of each view (B,C,h,w), to be averaged by the loop."""
        alpha, sigma = alpha_sigma(prior, t)
        eps = noise_like(x, generator)
        eps_hat, _ = guided(prior, alpha * x + sigma * eps, t, conditions, self.options.guidance_scale)
        return scored(weight(self.options.weight, alpha, sigma) * (eps_hat - eps), eps_hat, eps)
