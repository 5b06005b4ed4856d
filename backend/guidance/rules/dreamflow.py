"""DreamFlow: approximate probability flow down a predetermined schedule of noise levels (Lee et al., 2403.14966).

    g = (s_i - s_(i+1)) (eps_hat(x_t) - eps_lora(x_t)),    t = t_i,    s = sigma / alpha
    t_1 > t_2 > ... > t_N is fixed beforehand; the LoRA minimises ||eps_lora(x_t) - eps||^2 on the scene's pictures

The views of a scene are carried from the distribution of its own renders to that of the prior along

    dx / ds = eps_hat(x_t) - eps_lora(x_t)

which is the probability flow of the prior less that of the renders, written in the noise scale s of x + s eps.  A step
of gradient descent with rate 1 is one of Euler's from s_i to s_(i+1).  Each level is held for several steps of the run,
each with other views and fresh noise (the paper's amortised sampling), then the next lower one is taken.

The difference to VSD is in two places: levels fall by a schedule instead of being drawn, and the weight is the length
of the schedule's step, the paper's time derivative of the noise scale, instead of a choice.

Sources: the paper's abstract, project page and published reviews, which describe its Eq. 8 and 12 and its inner loop.
Its full text was not at hand and its code is not public, so that numbers are ours:
* N = 100 levels, evenly spaced in t.  The recipe says where the schedule begins and ends (a window without a width);
  what it draws is rounded up to a level of the schedule, so that a wider window still gives levels of the schedule.
* s grows without bound towards the highest levels.  `flow_step` off weighs by `weight` instead, as VSD does; on kits
  the schedule's own step was 0.8 dB better.
* The paper's three stages (a radiance field, its mesh, the mesh under a larger prior) are here the three sides of the
  pictures in the large recipe: one scene from coarse to fine.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Score
from backend.guidance.lora import LoRAOptions, LoRARule
from backend.priors.base import Condition, Prior


class DreamFlowOptions(LoRAOptions, frozen=True):
    """The schedule and its weight, beside VSD's settings."""

    levels: Annotated[int, Meta(ge=1, le=1000, description="Noise levels of the whole schedule")] = 100
    flow_step: Annotated[bool, Meta(description="Weigh by the schedule's step; off: by the weight below")] = True


class DreamFlow(LoRARule):
    """Four U-Net calls a step."""

    Options = DreamFlowOptions
    options: DreamFlowOptions

    def gradient(self, batch: Batch) -> Score:
        """VSD's difference at the level of the schedule."""
        return super().gradient(batch.at(scheduled(batch.t, self.options.levels, batch.total)[0]))

    def weigh(self, batch: Batch) -> Tensor:
        """s_i - s_(i+1), (B,1,1,1)."""
        if not self.options.flow_step:
            return super().weigh(batch)
        return step_length(batch, self.options.levels)

    def loss(self, eps_lora: Tensor, eps: Tensor, prior: Prior, x_t: Tensor, t: Tensor, y: Condition) -> Tensor:
        """VSD's: ||eps_lora - eps||^2, mean over all numbers."""
        return F.mse_loss(eps_lora, eps)


def scheduled(t: Tensor, levels: int, total: int) -> tuple[Tensor, Tensor]:
    """The level of the schedule that t (B,) belongs to, and the next lower one; 0 stands for no noise at all.

    The schedule has `levels` levels, `total`/`levels` apart.  The highest stays below T - 1, as some schedules end
    without any signal.
    """
    number = -(-t * levels // total)  # rounded up, in integers
    above = (number * total) // levels
    return above.clamp(1, total - 2), ((number - 1) * total // levels).clamp(min=0)


def step_length(batch: Batch, levels: int) -> Tensor:
    """How far s falls from the batch's level to the next of the schedule, (B,1,1,1)."""
    alpha, sigma = batch.scales
    _, lower = scheduled(batch.t, levels, batch.total)
    next_alpha, next_sigma = batch.at(lower).scales
    below = torch.where(lower.view(-1, 1, 1, 1) > 0, next_sigma / next_alpha, torch.zeros_like(alpha))
    return sigma / alpha - below
