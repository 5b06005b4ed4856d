"""The trainable twin of the catalogue prior, for the rules that train one.

A LoRA adds low-rank weights to those of a network.  Here there are no weights, but there is the prior's estimate D(x_t)
of the clean picture, and a twin has to learn how the scene's own pictures differ from it.  So the twin adds an offset
picture to D, one for each camera and one for none, all zero at first: then it predicts what the prior does.  Offsets of
different views are independent (as a low-rank product they were not; the views of a scene differ too much for that, and
VSD made clouds).  Each view occurs a dozen times in a run, so it has to learn fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.priors.base import Condition
from backend.tensors import onto


class OffsetPrior(Protocol):
    """What a twin needs of the catalogue prior."""

    grid: Cameras
    channels: int
    image_size: int
    device: torch.device

    def eps(self, x_t: Tensor, t: Tensor, condition: Condition, offset: Tensor | None = None) -> Tensor:
        """ε (B,4,S,S), with gradient to the tokens and to the offset."""


class CatalogueTwin:
    """A `Twin`; with rank 0 it has no parameters and gives gradients to the condition's tokens only.

    All other ranks are equivalent, and the seed is not used.
    """

    def __init__(self, prior: OffsetPrior, rank: int) -> None:
        self.prior, self.parameters = prior, dict[str, Tensor]()
        if rank:
            shape = (len(prior.grid) + 1, prior.channels, prior.image_size, prior.image_size)
            self.parameters = {"offset": torch.zeros(shape, device=prior.device, requires_grad=True)}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,4,S,S), with gradient to the parameters and to the condition's tokens."""
        if not self.parameters:
            return self.prior.eps(x_t, t, condition)
        cameras = onto(condition.extra["camera"], x_t.device)
        offset = self.parameters["offset"][cameras]  # the last one, -1, is for no camera
        if offset.shape[-1] != x_t.shape[-1]:
            offset = F.interpolate(offset, x_t.shape[-2:], mode="area")
        return self.prior.eps(x_t, t, condition, offset)

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of a loss that was computed from `predict`."""
        return list(torch.autograd.grad(loss, list(wrt), materialize_grads=True))
