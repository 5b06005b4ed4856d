"""NFSD: noise-free score distillation (Katzir et al., 2310.17590).

    g = w(t) [delta_C + delta_D],    x_t = alpha_t x + sigma_t eps,    w = sigma_t^2
    delta_C = s (eps_y - eps_null)
    delta_D = eps_null for t < 200 of 1000, else eps_null - eps_neg   (Eq. 6)

The prior's estimate without a prompt is noise plus a pull into the domain of pictures.  SDS subtracts the drawn noise,
which is not the noise in the prior's estimate.  NFSD subtracts the prior's estimate for bad pictures, which has the
same noise; at low levels there is little noise, and nothing is subtracted.

Decided here:
* eps_neg is the estimate under the job's negative prompt.  The paper's is "unrealistic, blurry, low quality, out of
  focus, ugly, low contrast, dull, dark, low-resolution, gloomy"; rules do not see texts, and a small prior might not
  know these words, so the job has to set it.  Without one eps_neg is eps_null, and delta_D is 0 from level 200
  up: the rule is then CSD's direction.
* delta_C always moves away from no prompt, as in the paper, also where there is a negative prompt.  Perp-Neg's
  directions are those of guidance, which moves away from the negative prompt.
* The metric "corr" compares eps_null + delta_C with eps_neg, also below level 200.
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta

from backend.guidance.base import Batch, Guidance, Level, Options, Rule, Score, Weighing
from backend.guidance.guide import estimate_with_null


class NFSDOptions(Options, frozen=True):
    """The paper's settings."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma^2"
    cut_off: Annotated[Level, Meta(description="Below this level, of 1000, the negative prompt is not subtracted")] = (
        200
    )


class NFSD(Rule[NFSDOptions]):
    """One forward of the U-Net a step, of two rows a view, or three with a negative prompt."""

    Options = NFSDOptions

    def gradient(self, batch: Batch) -> Score:
        """The direction of guidance, and the denoising term for the level."""
        o = self.options
        x_t = batch.noised(batch.noise())
        estimates, eps_null = estimate_with_null(batch.prior, x_t, batch.t, batch.conditions)
        towards = estimates.eps_away + estimates.direction  # eps_y, with Perp-Neg's directions
        eps_hat = eps_null + o.guidance_scale * (towards - eps_null)  # delta_C and eps_null
        difference = torch.where(batch.below(o.cut_off), eps_hat, eps_hat - estimates.eps_away)
        return batch.score(o.weight, difference, eps_hat, estimates.eps_away)
