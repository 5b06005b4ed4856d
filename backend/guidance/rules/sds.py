"""SDS: score distillation sampling (Poole et al., DreamFusion, 2209.14988).

    g = w(t) (eps_hat(x_t) - eps),    x_t = alpha_t x + sigma_t eps,    w = sigma_t^2

The noise eps is a control variate: it has mean zero, so it changes the variance of the step and not its mean.
"""

from __future__ import annotations

from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing


class SDSOptions(Options, frozen=True):
    """DreamFusion's settings."""

    guidance_scale: Guidance = 100.0
    weight: Weighing = "sigma^2"


class SDS(Rule[SDSOptions]):
    """One forward of the U-Net a step."""

    Options = SDSOptions

    def gradient(self, batch: Batch) -> Score:
        """One draw of the noise."""
        eps = batch.noise()
        eps_hat, _ = batch.guided(batch.noised(eps), self.options.guidance_scale)
        return batch.score(self.options.weight, eps_hat - eps, eps_hat, eps)
