"""A taught twin of the catalogue prior, for the rules that learn while they distil.

A LoRA has low-rank weights beside a network's own.  Here there are no weights, but there is the clean picture D(x_t)
that the prior believes in, and what a twin has to learn is how the scene's own pictures differ from it.  So the twin
adds a picture to D, one for each camera and one for none, all zero at first: then it predicts what the prior does.
What is learned of one view says nothing of the next (a low-rank product did: the views of a scene are not that alike,
and VSD made clouds), and each is seen a dozen times in a run: it has to learn fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.priors.base import Condition


class Taught(Protocol):
    """What a twin asks of the catalogue prior."""

    grid: Cameras
    channels: int
    image_size: int
    device: torch.device

    def eps(self, x_t: Tensor, t: Tensor, condition: Condition, offset: Tensor | None = None) -> Tensor:
        """ε (B,4,S,S), with gradient to the tokens and to the offset."""


class CatalogueTwin:
    """A `Twin`; with rank 0 it learns nothing itself and tells gradients to the condition's tokens.

    Any other rank is as good as 1, and nothing is drawn from the seed.
    """

    def __init__(self, prior: Taught, rank: int) -> None:
        self.prior, self.parameters = prior, dict[str, Tensor]()
        if rank:
            shape = (len(prior.grid) + 1, prior.channels, prior.image_size, prior.image_size)
            self.parameters = {"offset": torch.zeros(shape, device=prior.device, requires_grad=True)}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,4,S,S), with gradient to the parameters and to the condition's tokens."""
        if not self.parameters:
            return self.prior.eps(x_t, t, condition)
        offset = self.parameters["offset"][condition.extra["camera"]]  # -1, no camera, is the last
        if offset.shape[-1] != x_t.shape[-1]:
            offset = F.interpolate(offset, x_t.shape[-2:], mode="area")
        return self.prior.eps(x_t, t, condition, offset)

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Of a loss that was made from `predict`."""
        return list(torch.autograd.grad(loss, list(wrt), materialize_grads=True))
