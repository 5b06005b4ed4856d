"""The toy's trained network as a prior."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.priors.analytic import linear
from backend.priors.base import Condition, PriorError
from backend.studies.toy.modes import COUNT
from backend.studies.toy.network import Network
from backend.studies.toy.twin import NetworkTwin


class Trained:
    """The network as a prior: texts "0" to "7" name a mode, "" is all of them, as with `Analytic`."""

    channels = 2
    cameras: Cameras | None = None

    def __init__(self, network: Network) -> None:
        self.network = network.eval().requires_grad_(False)
        self.alphas_cumprod = linear().float()
        self.image_size, self.device = 1, torch.device("cpu")

    def encode(self, images: Tensor) -> Tensor:
        """Not available: points of a plane are not pictures."""
        raise PriorError("The toy's prior is for points of a plane and has no pictures.")

    decode = encode

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """One-hot classes as tokens (B,1,9)."""
        return Condition(F.one_hot(torch.tensor([label_of(text) for text in texts]), COUNT + 1).float()[:, None])

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """eps (B,2,1,1) for x_t (B,2,1,1) at levels t (B,)."""
        eps: Tensor = self.network(x_t[:, :, 0, 0], t, condition.tokens[:, 0])
        return eps[:, :, None, None]

    def twin(self, rank: int, seed: int) -> NetworkTwin:
        """A low-rank twin, for the rules that train one."""
        return NetworkTwin(self.network, rank, seed)


def label_of(text: str) -> int:
    """The class of a text; PriorError where it is not one."""
    if text and (not text.isdecimal() or int(text) >= COUNT):
        raise PriorError(f'The text "{text}" is not a mode: use a number from 0 to {COUNT - 1}, or no text.')
    return int(text) if text else COUNT
