"""What the prior itself draws of a prompt: pictures by DDIM in 50 steps, from eight sides; kept in a folder."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backend.cameras import Cameras, orbit, view_word
from backend.export.files import replacing, slug
from backend.guidance.guide import Conditions
from backend.guidance.inversion import ddim_sample
from backend.priors.base import Condition, Prior
from backend.priors.embedded import WEIGHTS
from backend.recipe import EMBEDDED

SIDES, EACH, STEPS, SCALE, ELEVATION = 8, 4, 50, 3.0, 15.0
LARGE_SCALE = 7.5  # guidance of other priors than the embedded one


def references(prior: Prior, name: str, prompt: str, folder: Path) -> tuple[Tensor, Tensor]:
    """What the prior of this name draws: pictures (SIDES*EACH,H,W,3) in [0,1], their azimuths (SIDES*EACH,).

    They are kept: the embedded prior's as long as its weights are the same, others' by their name.
    """
    embedded = name == EMBEDDED
    file = folder / f"references-{slug(prompt)}-{weights_mark() if embedded else slug(name)}.npy"
    azimuth = torch.cat([orbit(SIDES, elevation=ELEVATION).azimuth] * EACH)
    try:
        return torch.from_numpy(np.load(file)).float() / 255, azimuth
    except (OSError, EOFError, ValueError):  # not there, or damaged
        pass
    around, scale = orbit(SIDES, elevation=ELEVATION), SCALE if embedded else LARGE_SCALE
    pictures = torch.cat([draw(prior, prompt, around, seed, scale=scale) for seed in range(EACH)])
    with replacing(file) as new, new.open("wb") as stream:
        np.save(stream, (pictures * 255).round().byte().numpy())
    return pictures, azimuth


@functools.cache
def weights_mark(folder: Path = WEIGHTS) -> str:
    """Eight hexadecimal digits that change with the prior's weights, and with how the references are drawn."""
    mark = zlib.crc32(repr((SIDES, EACH, STEPS, SCALE, ELEVATION)).encode())
    for file in sorted(folder.rglob("*.safetensors")):
        mark = zlib.crc32(file.read_bytes(), mark)
    return f"{mark:08x}"


def draw(prior: Prior, prompt: str, cameras: Cameras, seed: int, steps: int = STEPS, scale: float = SCALE) -> Tensor:
    """The prompt as each camera sees it, all from one noise: (B,H,W,3) in [0,1], on the CPU.

    From the last level but one: at the last there is no signal to divide by.
    """
    blank = prior.encode(torch.zeros(1, prior.image_size, prior.image_size, 3, device=prior.device))
    noise = torch.randn(blank.shape, generator=torch.Generator().manual_seed(seed)).to(blank)
    t = torch.full((len(cameras),), len(prior.alphas_cumprod) - 2, device=prior.device)
    conditions = Conditions(said(prior, prompt, cameras), prior.condition([""] * len(cameras)))
    sample = ddim_sample(prior, noise.repeat(len(cameras), 1, 1, 1), t, conditions, steps, scale)
    # One by one: a large prior's decoder takes gigabytes for each.
    return torch.cat([prior.decode(one).clamp(0, 1).float().cpu() for one in torch.split(sample, 1)])


def said(prior: Prior, prompt: str, cameras: Cameras) -> Condition:
    """The prompt with the word for each camera's view."""
    words = [view_word(float(a), float(e)) for a, e in zip(cameras.azimuth, cameras.elevation, strict=True)]
    return prior.condition([f"{prompt}, {word} view" for word in words], cameras)
