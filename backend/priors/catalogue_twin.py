"""A taught twin of the catalogue prior, for the rules that learn while they distil.

A LoRA adds a product of two thin matrices to a network's weights.  Here there are no weights, but there is the clean
picture D(x_t) that the prior believes in, and what a twin has to learn is how the scene's own pictures differ from it.
So the twin adds a product to D: a row of A (C+1,rank) for the camera, the last for none, times B (rank,4,S,S), with A
drawn and B = 0.  At first it predicts exactly what the prior predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.priors.base import Condition

if TYPE_CHECKING:
    from backend.priors.catalogue import CataloguePrior


class CatalogueTwin:
    """A `Twin`; with rank 0 it learns nothing itself and tells gradients to the condition's tokens."""

    def __init__(self, prior: CataloguePrior, rank: int, seed: int) -> None:
        self.prior, self.parameters = prior, dict[str, Tensor]()
        if rank:
            side, dice = prior.image_size, torch.Generator().manual_seed(seed)
            down = torch.randn(len(prior.grid) + 1, rank, generator=dice).to(prior.device)
            up = torch.zeros(rank, prior.channels, side, side, device=prior.device)
            self.parameters = {"down": down.requires_grad_(), "up": up.requires_grad_()}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,4,S,S), with gradient to the parameters and to the condition's tokens."""
        if not self.parameters:
            return self.prior.eps(x_t, t, condition)
        up = self.parameters["up"]
        if up.shape[-1] != x_t.shape[-1]:
            up = F.interpolate(up, x_t.shape[-2:], mode="area")
        rows = self.parameters["down"][condition.extra["camera"]]  # -1, no camera, is the last row
        return self.prior.eps(x_t, t, condition, torch.einsum("br,rchw->bchw", rows, up))

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Of a loss that was made from `predict`."""
        return list(torch.autograd.grad(loss, list(wrt), materialize_grads=True))
