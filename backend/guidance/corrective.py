"""b of LMC-SDS: a small network, trained beforehand, that does to a clean picture what a prior's denoising does to it.

    b(x, t) = x + sigma_t f(x, t)  ~  E[D(x_t) | x],    D(x_t) = (x_t - sigma_t eps_y(x_t)) / alpha_t

D is the prior's clean picture of x_t, in one step.  Where x is a picture the prior knows, b is what is left of it: at
high levels a blurred mean of all that x could have been.  Written as noise, D(x_t) is eps_y and b(x, t) is

    eps_b = (x_t - alpha_t b(x, t)) / sigma_t = eps - alpha_t f(x, t)

so that training on ||eps_b - eps_y||^2 has the same optimum, level by level, as the paper's ||b - D(x_t)||^2, and gives
low levels their share.  f starts at zero: b is then the identity.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.priors.base import Condition, Prior, PriorError, alpha_sigma

SHIPPED = Path(__file__).with_name("corrective.safetensors")  # trained on the kit that ships
WIDTH, OCTAVES = 24, 5
LABEL = "splatsmith_corrective"  # one entry of the file's header, as several come in an order of chance
HOW = "python -m backend train-lmc --prior PRIOR --out FILE"


class Level(nn.Module):
    """A share (B,) of the schedule -> a factor and a shift of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(2 * OCTAVES, WIDTH), nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, share: Tensor) -> tuple[Tensor, Tensor]:
        angle = share[:, None] * (math.pi * 2.0 ** torch.arange(OCTAVES, device=share.device))
        told = self.out(F.silu(self.hidden(torch.cat([angle.sin(), angle.cos()], 1))))
        factor, shift = told[:, :, None, None].chunk(2, 1)
        return factor, shift


class Block(nn.Module):
    """A convolution, told the level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.level = nn.Conv2d(channels, WIDTH, 3, padding=1, padding_mode="replicate"), Level()

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        factor, shift = self.level(share)
        return F.silu(self.mix(x) * (1 + factor) + shift)


class Corrective(nn.Module):
    """f: (B,C,h,w) of any size at shares (B,) of the schedule -> (B,C,h,w).

    Three scales, each half as fine as the one before: a mean over many pictures is blurred far.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.down = nn.ModuleList([Block(channels), Block(WIDTH), Block(WIDTH)])
        self.up = nn.ModuleList([Block(WIDTH), Block(2 * WIDTH), Block(2 * WIDTH)])
        self.out = nn.Conv2d(WIDTH, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    @classmethod
    def create(cls, channels: int, seed: int) -> Corrective:
        """An untrained one, its weights drawn from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return cls(channels)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        seen, h, share = [], x.float(), share.float()
        for number, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2, ceil_mode=True) if number else h, share)
            seen.append(h)
        h = self.up[0](seen.pop(), share)
        for block in list(self.up)[1:]:
            skip = seen.pop()
            h = block(torch.cat([F.interpolate(h, skip.shape[-2:]), skip], 1), share)
        out: Tensor = self.out(h)
        return out.to(x)


def noise_of(network: nn.Module, prior: Prior, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """eps_b (B,C,h,w): the noise in x_t if its clean picture were b(x, t), for x and eps (B,C,h,w), t (B,)."""
    alpha, _ = alpha_sigma(prior, t)
    correction: Tensor = network(x, t / len(prior.alphas_cumprod))
    return eps - alpha * correction


def losses(network: nn.Module, prior: Prior, x: Tensor, t: Tensor, y: Condition, eps: Tensor) -> tuple[Tensor, Tensor]:
    """||eps_b - eps_y||^2, mean over all numbers, on clean pictures x (B,C,h,w) with their own texts y.

    The second is the same for b = x, ||eps - eps_y||^2: what there is to learn.
    """
    alpha, sigma = alpha_sigma(prior, t)
    eps_y = prior.predict(alpha * x + sigma * eps, t, y).detach()
    return F.mse_loss(noise_of(network, prior, x, t, eps), eps_y), F.mse_loss(eps, eps_y)


def save(network: Corrective, file: Path, prior: str) -> None:
    """Write the weights, with the name of the prior that they were trained for."""
    label = json.dumps({"channels": network.channels, "prior": prior})
    save_file(network.state_dict(), file, {LABEL: label})


def load(file: Path) -> tuple[Corrective, str]:
    """A corrective, and the name of its prior.  PriorError where the file is none."""
    field = f"recipe.options.corrective: {file}"
    try:
        with safe_open(file, "pt") as opened:
            label = (opened.metadata() or {}).get(LABEL)
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PriorError(f"{field} cannot be read: make it with {HOW}.") from error
    if label is None:
        raise PriorError(f"{field} is no corrective: make one with {HOW}.")
    try:
        said = json.loads(label)
        network = Corrective(said["channels"])
        network.load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise PriorError(f"{field} is from another version: make it again with {HOW}.") from error
    return network.eval().requires_grad_(False), str(said.get("prior", ""))
