"""CSD: classifier score distillation (Yu et al., 2310.19415).

    g = w(t) s [eps_y + u eps_neg + n eps_null],    x_t = alpha_t x + sigma_t eps,    w = sigma_t^2
    u from -1 to -0.5 and n from 0 to -0.5 over the run

Of guided SDS only the direction of guidance is kept: the noise and the prior's pull to unconditional pictures are gone.
At first the step moves away from the negative prompt only, at the end from the negative prompt and from no prompt
equally.

Decided here:
* The weights are the released code's (1 for the prompt; the paper's omega_2 is -u); in both they sum to 0.  Without a
  negative prompt eps_neg is eps_null, and the rule is eps_y - eps_null throughout.
* s, 1 in the paper, is only a factor: Adam is invariant to it, but its balance with the regularisers is not.
* Perp-Neg adds its directions as in guidance, with the prompt's weight.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing, between
from backend.guidance.guide import estimate_with_null

Share = Annotated[float, Meta(ge=-10, le=10)]


class CSDOptions(Options, frozen=True):
    """The released code's settings."""

    guidance_scale: Guidance = 1.0
    weight: Weighing = "sigma^2"
    negative_start: Annotated[Share, Meta(description="Weight of the negative prompt when the run starts")] = -1.0
    negative_end: Annotated[Share, Meta(description="Weight of the negative prompt when the run ends")] = -0.5
    null_start: Annotated[Share, Meta(description="Weight of no prompt when the run starts")] = 0.0
    null_end: Annotated[Share, Meta(description="Weight of no prompt when the run ends")] = -0.5


class CSD(Rule[CSDOptions]):
    """One forward of the U-Net a step, of two rows a view, or three with a negative prompt."""

    Options = CSDOptions

    def gradient(self, batch: Batch) -> Score:
        """The direction of guidance, with weights that change with the run's progress."""
        o = self.options
        x_t = batch.noised(batch.noise())
        estimates, eps_null = estimate_with_null(batch.prior, x_t, batch.t, batch.conditions)
        subtracted = between(o.negative_start, o.negative_end, batch.progress) * estimates.eps_away
        subtracted = subtracted + between(o.null_start, o.null_end, batch.progress) * eps_null
        towards = estimates.eps_away + estimates.direction  # eps_y, with Perp-Neg's directions
        return batch.score(o.weight, o.guidance_scale * (towards + subtracted), towards, -subtracted)
