"""Consistent3D: consistency distillation sampling (Wu et al., 2401.09050).

    g = w [eps_hat(x_t, t) - eps_hat(x_t', t')],    t = t' + U[100, 300) of 1000,    w = 1
    x_t = alpha_t x + sigma_t eps with one eps for all views and the whole run
    x_t' = one DDIM step from x_t down to t', with eps_hat(x_t, t)
    guidance from 100 to 50, t' from 0.7 T to 0.1 T over the run

With noise that never changes, every render is a point on one trajectory of the sampling ODE; the gradient makes two
points of that trajectory denoise to the same picture.

Decided here:
* t' is the level that the loop draws; the recipe lets it fall.  (The released code lets it fall with the square root of
  progress.)  Both levels stay below T - 1, as some schedules end without any signal.
* The sign.  With D the one-step denoising, the difference above is alpha_t'/sigma_t' [D(x_t') - D(x_t)].  The
  released code computes (sigma_t/sigma_t')(pred - eps_hat) + (eps_hat' - pred), where pred is eps_hat as its rescaling
  is off, and adds it to the sample to make the target: the gradient is the negative of that, which is ours.  The other
  sign would push samples away from the mean of a Gaussian, as a test shows.
* The released code's guidance is eps_y + s (eps_y - eps_null), one more than ours; its clipping of the gradient is
  omitted.
* eps is drawn at the first step, kept in the state, and drawn again when samples change their size.  `fresh_noise`
  draws one for every view and step, for comparison.
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Options, Rule, Score, Weighing, between
from backend.guidance.guide import noise_like
from backend.guidance.inversion import ddim_step, single_level

Gap = Annotated[int, Meta(ge=1, le=999)]


class Consistent3DOptions(Options, frozen=True):
    """The released code's settings."""

    guidance_scale: Annotated[float, Meta(ge=0, le=1000, description="How strongly the prompt pulls at the start")] = (
        100.0
    )
    guidance_scale_end: Annotated[
        float, Meta(ge=0, le=1000, description="How strongly the prompt pulls at the end")
    ] = 50.0
    weight: Weighing = "one"
    gap_low: Annotated[Gap, Meta(description="The least distance of the two levels, of 1000")] = 100
    gap_high: Annotated[Gap, Meta(description="The largest distance of the two levels, of 1000")] = 300
    fresh_noise: Annotated[bool, Meta(description="Draw new noise for every view and step")] = False


class Consistent3D(Rule[Consistent3DOptions]):
    """Two forwards of the U-Net a step."""

    Options = Consistent3DOptions

    def __init__(self, options: Consistent3DOptions) -> None:
        super().__init__(options)
        self.eps: Tensor | None = None  # (1,C,h,w)

    def gradient(self, batch: Batch) -> Score:
        """Two levels on one trajectory; the batch's is the lower one."""
        o, levels = self.options, batch.prior.alphas_cumprod
        high, low = self._levels(batch)
        scale = between(o.guidance_scale, o.guidance_scale_end, batch.progress)
        x_high = high.noised(self._noise(batch))
        eps_high, _ = high.guided(x_high, scale)
        x_low = ddim_step(x_high, eps_high, levels[high.t[:1]], levels[low.t[:1]])
        eps_low, _ = low.guided(x_low, scale)
        return high.score(o.weight, eps_high - eps_low, eps_high, eps_low)

    def _levels(self, batch: Batch) -> tuple[Batch, Batch]:
        """The batch at t and at t'."""
        gap = max(1, int(between(self.options.gap_low, self.options.gap_high, batch.draw()) * batch.total / 1000))
        low = min(single_level(batch.t), batch.total - 3)
        high = min(low + gap, batch.total - 2)
        return batch.at(torch.full_like(batch.t, high)), batch.at(torch.full_like(batch.t, low))

    def _noise(self, batch: Batch) -> Tensor:
        """The noise (B,C,h,w) of the views."""
        if self.options.fresh_noise:
            return batch.noise()
        if self.eps is None or self.eps.shape[1:] != batch.x.shape[1:]:
            self.eps = noise_like(batch.x[:1], batch.generator)
        return self.eps.to(batch.x).expand_as(batch.x)

    def state_dict(self) -> dict[str, Tensor]:
        """The noise, once it is drawn."""
        return {} if self.eps is None else {"eps": self.eps}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.eps = state.get("eps")
