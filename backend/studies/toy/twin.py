"""A low-rank twin of the toy's network, for the rules that train one (VSD, ASD) or need its gradients (LODS)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from backend.priors.base import Condition
from backend.studies.toy.network import HIDDEN, LAYERS, Network


class NetworkTwin:
    """The hidden layers' weights W become W + B A, with A (rank,128) drawn and B (128,rank) zero at first.

    The frozen weights are the network's own; `parameters` is empty for rank 0.
    """

    def __init__(self, network: Network, rank: int, seed: int) -> None:
        self.network, self.parameters = network, dict[str, Tensor]()
        generator = torch.Generator().manual_seed(seed)
        for layer in range(LAYERS if rank else 0):
            a = torch.randn(rank, HIDDEN, generator=generator) / HIDDEN**0.5
            self.parameters |= {f"{layer}.a": a.requires_grad_()}
            self.parameters |= {f"{layer}.b": torch.zeros(HIDDEN, rank, requires_grad=True)}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """eps (B,2,1,1) as `Trained.predict` gives it, with gradient to `parameters` and to the condition."""
        weights = {f"hidden.{layer}.weight": self._weight(layer) for layer in range(LAYERS)} if self.parameters else {}
        eps: Tensor = functional_call(self.network, weights, (x_t[:, :, 0, 0], t, condition.tokens[:, 0]))
        return eps[:, :, None, None]

    def _weight(self, layer: int) -> Tensor:
        frozen: Tensor = self.network.get_parameter(f"hidden.{layer}.weight")
        return frozen + self.parameters[f"{layer}.b"] @ self.parameters[f"{layer}.a"]

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of a loss that was computed from `predict`."""
        return list(torch.autograd.grad(loss, list(wrt)))
