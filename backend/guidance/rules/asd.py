"""ASD: adversarial score distillation (Wei et al., "When score distillation meets GAN", 2312.00739).

    g = w(t) (eps_hat(x_t) - eps_lora(x_t)),    w = sigma_t / alpha_t
    the LoRA minimises ||eps_lora(x_t) - eps||^2 + gamma ||eps_lora(x_t) - eps_y(x_t)||^2,    gamma = -0.75

VSD's LoRA is half of a discriminator, the half for the scene's pictures; the second term, which pushes it away from the
prior's own prediction eps_y, is the half for real ones.  With gamma = 0 this is VSD.  The optimal LoRA predicts
eps_y + (E[eps | x_t] - eps_y) / (1 + gamma): with gamma = -0.75 four times as far from eps_y as VSD's.  At gamma = -1
(the default in the released code; its recipes use -0.75) the loss has no lower bound, and only the learning rate limits
how far the LoRA moves.

As in the released code, eps_y is conditioned on the view also in training steps where the LoRA is not.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Weighing
from backend.guidance.lora import LoRAOptions, LoRARule
from backend.priors.base import Condition, Prior


class ASDOptions(LoRAOptions, frozen=True):
    """The paper's settings."""

    gamma: Annotated[float, Meta(ge=-1, le=1, description="Below 0 the LoRA is pushed away from the prior")] = -0.75
    weight: Weighing = "sigma/alpha"


class ASD(LoRARule):
    """Five U-Net calls a step; four with gamma = 0."""

    Options = ASDOptions

    def __init__(self, options: ASDOptions) -> None:
        super().__init__(options)
        self.gamma = options.gamma

    def loss(self, eps_lora: Tensor, eps: Tensor, prior: Prior, x_t: Tensor, t: Tensor, y: Condition) -> Tensor:
        """Both terms, each a mean over all numbers."""
        towards = F.mse_loss(eps_lora, eps)
        if not self.gamma:
            return towards
        return towards + self.gamma * F.mse_loss(eps_lora, prior.predict(x_t, t, y))
