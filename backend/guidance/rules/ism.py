"""ISM: interval score matching (Liang et al., LucidDreamer, 2311.11284).

    g = w(t) [eps_hat(x_t) - eps_null(x_s)],    s = t - delta,    w = sigma_t / alpha_t
    x_s = unconditional DDIM inversion of x in long steps (5 over the whole schedule)
    x_t = one further DDIM step, with eps_null(x_s)
    delta from 100 to 80 over the first 0.3 of the run (1,500 of 5,000 steps)

Both ends of the interval lie on one trajectory of the scene's own picture, so the gradient has no random noise and
needs no long reconstruction to subtract: what remains is the effect of the prompt between s and t.

Decided here:
* The paper's factor 0.1 of w is omitted: Adam is invariant to it.
* The released code counts its long steps upwards from level 0 and ends with the short one; ours are counted back from s
  and begin with it (inversion.py).  The number of forwards is the same.
* There the noise between the clean sample and level 0 is drawn; here by default it is the estimate at level 0, and with
  `inversion_start` "noise" that of the whole first step is drawn, for priors that estimate noise badly there.
* Guidance moves away from the negative prompt, if there is one; the inversion always uses no prompt.
* The window of t (2 to 98 % of the schedule at first, to 50 % later) is the recipe's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from msgspec import Meta

from backend.guidance.base import Batch, Guidance, Level, Options, Rule, Score, Weighing, between
from backend.guidance.guide import Conditions
from backend.guidance.inversion import Start, Steps, ddim_inversion, ddim_step, single_level


class ISMOptions(Options, frozen=True):
    """The paper's settings."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma/alpha"
    delta_start: Annotated[Level, Meta(description="The interval's length at the start, in levels of 1000")] = 100
    delta_end: Annotated[Level, Meta(description="The interval's length later, in levels of 1000")] = 80
    warm_up: Annotated[float, Meta(gt=0, le=1, description="Share of the run in which the interval shrinks")] = 0.3
    inversion_steps: Steps = 5
    inversion_start: Start = "estimate"


class ISM(Rule[ISMOptions]):
    """Three to seven forwards of the U-Net a step, fewer as t falls; all but the last of one row a view."""

    Options = ISMOptions

    def gradient(self, batch: Batch) -> Score:
        """Unconditional inversion to s, one step further to t, and the prompt's estimate there."""
        o, null, levels = self.options, batch.conditions.null, batch.prior.alphas_cumprod
        s = torch.full_like(batch.t, max(single_level(batch.t) - self.delta(batch.progress, batch.total), 0))
        unconditional = replace(batch, t=s, conditions=Conditions(null, null))
        x_s, _ = ddim_inversion(unconditional, o.inversion_steps, 1.0, 0.0, o.inversion_start)
        eps_s = batch.prior.predict(x_s, s, null)
        x_t = ddim_step(x_s, eps_s, levels[s[:1]], levels[batch.t[:1]])
        eps_hat, _ = batch.guided(x_t, o.guidance_scale)
        return batch.score(o.weight, eps_hat - eps_s, eps_hat, eps_s)

    def delta(self, progress: float, total: int) -> int:
        """The interval in levels of `total`."""
        o = self.options
        return round(between(o.delta_start, o.delta_end, progress / o.warm_up) * total / 1000)
