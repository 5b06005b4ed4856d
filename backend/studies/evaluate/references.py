"""A prior's own pictures of a prompt, which results are compared with; from eight sides.

A kit's prior has them: they are those of every object that the words choose, dyed where they say so.  Any other prior
draws them by DDIM in 50 steps, and they are kept in a folder.
"""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from backend.cameras import Cameras, orbit, view_word
from backend.files import replacing, slug
from backend.guidance.guide import Conditions
from backend.guidance.inversion import ddim_sample
from backend.job.job import Job
from backend.priors.base import Condition, Prior
from backend.priors.catalogue import CataloguePrior
from backend.priors.kit import kit_folder
from backend.priors.local_score import rgba_to_x
from backend.priors.picture_bank import Objects

SIDES, EACH, STEPS, SCALE, ELEVATION = 8, 4, 50, 7.5, 15.0
MOST = 30  # objects of a kit


def of_all(job: Job) -> Job:
    """The job with all objects that fit its prompt, whatever its seed would draw of them."""
    return replace(job, recipe=replace(job.recipe, catalogue=replace(job.recipe.catalogue, objects=0)))


def references(prior: Prior, name: str, prompt: str, folder: Path) -> tuple[Tensor, Tensor]:
    """The own pictures (N,H,W,3) in [0,1] of the prior of this name, on middle grey, and their azimuths (N,).

    What had to be drawn is kept in the folder.
    """
    if isinstance(prior, CataloguePrior):
        return own_views(prior)
    file = folder / f"references-{slug(prompt)}-{prior_mark(name)}.npy"
    around = orbit(SIDES, elevation=ELEVATION)
    try:
        return torch.from_numpy(np.load(file)).float() / 255, around.azimuth.repeat(EACH)
    except (OSError, EOFError, ValueError):  # not there, or damaged
        pass
    pictures = torch.cat([draw(prior, prompt, around, seed) for seed in range(EACH)])
    with replacing(file) as new, new.open("wb") as stream:
        np.save(stream, (pictures * 255).round().byte().numpy())
    return pictures, around.azimuth.repeat(EACH)


def own_views(prior: CataloguePrior) -> tuple[Tensor, Tensor]:
    """Objects of the kit, MOST at most, from SIDES of the grid's cameras: pictures (N,S,S,3) and azimuths (N,)."""
    x = own_samples(prior, MOST)
    return torch.cat([prior.decode(views).cpu() for views in x]), prior.grid[own_cameras(prior)].azimuth.repeat(len(x))


def own_samples(prior: CataloguePrior, most: int) -> Tensor:
    """Of objects spread evenly over those that it draws from, `most` at most: x (K,SIDES,4,S,S)."""
    objects, cameras = prior.sources[0], own_cameras(prior)
    assert isinstance(objects, Objects)
    read = objects.read[:: -(-objects.count // most)]
    x = [rgba_to_x(torch.from_numpy(one())[cameras], prior.image_size) for one in read]
    return torch.stack(x).to(prior.device)


def own_cameras(prior: CataloguePrior) -> Tensor:
    """Which of the grid's cameras stand around the object as those of `orbit` do: (SIDES,)."""
    ring = (prior.grid.elevation == ELEVATION).nonzero()[:, 0]
    return ring[:: len(ring) // SIDES]


@functools.cache
def prior_mark(name: str) -> str:
    """Eight hexadecimal digits that change with a kit's files and words, or with how another prior's are drawn."""
    folder, mark = kit_folder(name), zlib.crc32(repr((name, SIDES, EACH, STEPS, SCALE, ELEVATION, MOST)).encode())
    files = () if folder is None else sorted(file for file in folder.iterdir() if file.is_file())
    for file in files:
        mark = zlib.crc32(file.read_bytes(), zlib.crc32(file.name.encode(), mark))
    return f"{mark:08x}"


def draw(prior: Prior, prompt: str, cameras: Cameras, seed: int, steps: int = STEPS, scale: float = SCALE) -> Tensor:
    """The prompt as each camera sees it, all from one noise: (B,H,W,3) in [0,1], on the CPU.

    From the last level but one: at the last there is no signal to divide by.
    """
    blank = torch.zeros(1, prior.image_size, prior.image_size, prior.channels, device=prior.device)
    clean = prior.encode(blank)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(clean)
    t = torch.full((len(cameras),), len(prior.alphas_cumprod) - 2, device=prior.device)
    conditions = Conditions(said(prior, prompt, cameras), prior.condition([""] * len(cameras)))
    sample = ddim_sample(prior, noise.repeat(len(cameras), 1, 1, 1), t, conditions, steps, scale)
    # One by one: a large prior's decoder takes gigabytes for each.
    return torch.cat([prior.decode(one).clamp(0, 1).float().cpu() for one in torch.split(sample, 1)])


def said(prior: Prior, prompt: str, cameras: Cameras) -> Condition:
    """The prompt with the word for each camera's view."""
    words = [view_word(float(a), float(e)) for a, e in zip(cameras.azimuth, cameras.elevation, strict=True)]
    return prior.condition([f"{prompt}, {word} view" for word in words], cameras)
