"""LoRA: a trainable twin of a frozen U-Net (Hu et al., 2106.09685), for the rules that train one.

The twin is a copy of the U-Net's modules that shares its weight tensors and has low-rank weights of its own in the
attention layers: W x + B A x, with A random and B = 0, so that at first it predicts exactly what the prior predicts.
`peft` inserts the layers, into the copy only: a worker keeps the prior in memory for its next job, so its modules and
weights must not change.

The low-rank weights are in single precision whatever the U-Net computes in, as a step of 1e-4 would be lost in the
rounding of half precision.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from backend.priors.base import Condition, PriorError
from backend.priors.loading import Denoiser

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]  # of self- and cross-attention, as in ProlificDreamer
HALF_SCALE = 2.0**10  # a mean over 65,536 numbers has gradients near the smallest that float16 can hold

Predict = Callable[[Denoiser, Tensor, Tensor, Condition], Tensor]


class LoRA:
    """A `Twin` of the prior with this denoiser; `predict_with` is how that prior predicts with a denoiser."""

    def __init__(self, denoiser: Denoiser, predict_with: Predict, rank: int, seed: int) -> None:
        self.denoiser, self.predict_with = denoiser, predict_with
        self.parameters: dict[str, Tensor] = {}
        if rank:
            unet = with_adapters(denoiser.unet, rank, torch.Generator().manual_seed(seed))
            self.denoiser = Denoiser(unet, denoiser.alphas_cumprod, denoiser.prediction_type)
            self.parameters = {name: value for name, value in unet.named_parameters() if value.requires_grad}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,C,h,w) for x_t at integer levels t (B,), with gradient to the LoRA and to the condition."""
        return self.predict_with(self.denoiser, x_t, t, condition)

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of a loss that was computed from `predict`; in float16 it is scaled up against underflow."""
        scale = HALF_SCALE if self.denoiser.dtype == torch.float16 else 1.0
        found = torch.autograd.grad(loss * scale, list(wrt))
        return [gradient / scale for gradient in found]


def with_adapters(unet: Any, rank: int, generator: torch.Generator) -> Any:
    """A copy of the U-Net's modules that shares its weights, with low-rank ones in its attention layers.

    Raises:
        PriorError: it has no attention layers.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds to import, and most runs do not need it

    shared = {id(tensor): tensor for tensor in chain(unet.parameters(), unet.buffers())}
    twin = copy.deepcopy(unet, shared)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS)
    try:
        inject_adapter_in_model(config, twin)
    except ValueError as error:
        raise PriorError("This prior's U-Net has no attention layers for a LoRA: choose another rule") from error
    for name, value in twin.named_parameters():
        if value.requires_grad:
            value.data = _initial(name, value, generator)
    return twin


def _initial(name: str, value: Tensor, generator: torch.Generator) -> Tensor:
    """The initial A or B in float32; A is drawn on the CPU, so that a seed gives the same on every device."""
    first = torch.zeros(value.shape)
    if "lora_A" in name:
        nn.init.kaiming_uniform_(first, a=math.sqrt(5), generator=generator)
    return first.to(value.device)
