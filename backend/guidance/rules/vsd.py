"""VSD: variational score distillation (Wang et al., ProlificDreamer, 2305.16213).

    g = w(t) (eps_hat(x_t) - eps_lora(x_t)),    the LoRA minimises ||eps_lora(x_t) - eps||^2 on the scene's pictures

SDS subtracts the noise itself; VSD subtracts the estimate of a model of the scene's own pictures, so that the scene
follows the difference of two scores.  See `backend.guidance.lora` for the LoRA, its camera and its levels.

One scene is one particle; a job's `particles` is the paper's n.  All begin with the same splats, where the paper's
begin with weights of their own: a grey ball has nothing to tell them apart.  The LoRA is used without guidance, as in
threestudio.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from backend.guidance.lora import LoRAOptions, LoRARule
from backend.priors.base import Condition, Prior


class VSDOptions(LoRAOptions, frozen=True):
    """ProlificDreamer's settings."""


class VSD(LoRARule):
    """Four U-Net calls a step."""

    Options = VSDOptions

    def loss(self, eps_lora: Tensor, eps: Tensor, prior: Prior, x_t: Tensor, t: Tensor, y: Condition) -> Tensor:
        """||eps_lora - eps||^2, mean over all numbers."""
        return F.mse_loss(eps_lora, eps)
