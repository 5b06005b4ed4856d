"""The network of the paper's toy: an MLP that predicts the noise on a point.

128 hidden units, ReLU, LayerNorm, a time embedding; Adam at 1e-3 with cosine annealing, 1000 epochs, batch 128; classes
are the modes (supplement, section 4).  The paper does not define an epoch, nor how often the class is dropped for
classifier-free guidance: here eight batches of fresh points, and once in five times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.files import replacing
from backend.priors.analytic import linear
from backend.studies.toy.modes import COUNT, draw

HIDDEN, LAYERS, FREQUENCIES = 128, 3, 16
BATCH, BATCHES_PER_EPOCH, LEARNING_RATE, CLASS_DROPPED = 128, 8, 1e-3, 0.2


class Network(nn.Module):
    """eps (B,2) for points x_t (B,2) at levels t (B,) of 1000, with classes (B,9) one-hot; the ninth is none."""

    def __init__(self) -> None:
        super().__init__()
        self.point, self.label = nn.Linear(2, HIDDEN), nn.Linear(COUNT + 1, HIDDEN, bias=False)
        self.time = nn.Linear(2 * FREQUENCIES, HIDDEN)
        self.hidden = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(LAYERS))
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        h = self.point(x_t) + self.time(embedded(t)) + self.label(label)
        for norm, layer in zip(self.norms, self.hidden, strict=True):
            h = h + layer(F.relu(norm(h)))
        out: Tensor = self.out(F.relu(h))
        return out


def embedded(t: Tensor) -> Tensor:
    """Levels (B,) of 1000 -> sines and cosines (B,32) of periods from 6 to 6000 levels."""
    rates = torch.exp(-math.log(1000.0) * torch.arange(FREQUENCIES) / (FREQUENCIES - 1))
    angle = t[:, None].float() * rates
    return torch.cat([angle.sin(), angle.cos()], 1)


def train(network: Network, epochs: int, seed: int) -> Iterator[float]:
    """Train in place; after each epoch its mean loss."""
    generator, alpha_bar = torch.Generator().manual_seed(seed), linear().float()
    adam = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs * BATCHES_PER_EPOCH)
    for _ in range(epochs):
        total = 0.0
        for _ in range(BATCHES_PER_EPOCH):
            loss = _loss(network, alpha_bar, generator)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            schedule.step()
            total += float(loss.detach())
        yield total / BATCHES_PER_EPOCH


def _loss(network: Network, alpha_bar: Tensor, generator: torch.Generator) -> Tensor:
    """The mean squared error of the noise on one batch of fresh points."""
    x, mode = draw(BATCH, generator)
    mode[torch.rand(BATCH, generator=generator) < CLASS_DROPPED] = COUNT
    t = torch.randint(1000, (BATCH,), generator=generator)
    eps = torch.randn(BATCH, 2, generator=generator)
    x_t = alpha_bar[t, None].sqrt() * x + (1 - alpha_bar[t, None]).sqrt() * eps
    return F.mse_loss(network(x_t, t, F.one_hot(mode, COUNT + 1).float()), eps)


def fresh(seed: int) -> Network:
    """An untrained network whose weights come from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Network()


def save(network: Network, file: Path, epochs: int, seed: int) -> None:
    """Save a trained network with its training settings."""
    with replacing(file) as temporary:
        save_file(network.state_dict(), temporary, {"epochs": str(epochs), "seed": str(seed)})


def load(file: Path, epochs: int, seed: int) -> Network | None:
    """The network in the file if it is complete and was trained with these settings, else None."""
    try:
        with safe_open(file, "pt") as kept:
            if kept.metadata() != {"epochs": str(epochs), "seed": str(seed)}:
                return None
            network = Network()
            network.load_state_dict({name: kept.get_tensor(name) for name in kept.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError):
        return None
    return network
