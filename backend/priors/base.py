"""What the loop and the objectives know of a diffusion prior."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from backend.cameras import Cameras
from backend.errors import UserError


class PriorError(UserError):
    """A prior that cannot be used, or a text it cannot read: one sentence that says what to do."""


@dataclass(frozen=True)
class Condition:
    """What a prediction is conditioned on: tensors whose first axis is the batch."""

    tokens: Tensor  # (B, L, D)
    mask: Tensor | None = None  # (B, L), 1 where a token counts
    extra: dict[str, Tensor] = field(default_factory=dict)  # (B, ...) each: camera, pooled text, sizes

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """One batch after the other."""
        first = conditions[0]
        mask = None if first.mask is None else torch.cat([c.mask for c in conditions if c.mask is not None])
        extra = {key: torch.cat([c.extra[key] for c in conditions]) for key in first.extra}
        return Condition(torch.cat([c.tokens for c in conditions]), mask, extra)


class Prior(Protocol):
    """A text-to-image diffusion model, frozen."""

    alphas_cumprod: Tensor  # (T,) ᾱ_t, decreasing
    image_size: int  # side in pixels of the pictures it was trained on
    device: torch.device

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,3) in [0,1] -> clean samples x (B,C,h,w), with gradient."""

    def decode(self, x: Tensor) -> Tensor:
        """Clean samples x (B,C,h,w) -> pictures (B,H,W,3) in [0,1]."""

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """Texts, and the cameras where the prior knows them -> Condition; "" without camera is no condition.

        All conditions of one prior have the same L, so that `Condition.cat` joins them.
        """

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Noise prediction ε (B,C,h,w) for x_t (B,C,h,w) at integer levels t (B,); one forward of the U-Net."""


def alpha_sigma(prior: Prior, t: Tensor) -> tuple[Tensor, Tensor]:
    """α_t = sqrt(ᾱ_t) and σ_t = sqrt(1-ᾱ_t), each (B,1,1,1), for integer levels t (B,)."""
    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


class Counted:
    """A prior that counts its forwards (`calls`), the pictures in them (`rows`) and their time (`seconds`)."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.alphas_cumprod, self.image_size, self.device = prior.alphas_cumprod, prior.image_size, prior.device
        self.encode, self.decode, self.condition = prior.encode, prior.decode, prior.condition
        self.calls, self.rows, self.seconds = 0, 0, 0.0

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Count, then predict.  On CUDA the time is that of the launch, unless the caller synchronises."""
        began = time.perf_counter()
        eps = self.prior.predict(x_t, t, condition)
        self.calls, self.rows, self.seconds = (
            self.calls + 1,
            self.rows + len(x_t),
            self.seconds + time.perf_counter() - began,
        )
        return eps
