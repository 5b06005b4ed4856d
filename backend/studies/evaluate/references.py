"""A prior's own pictures of a prompt from eight sides, with which jobs are compared.

For a kit they are the pictures of all objects that match the prompt, dyed as it says.  Any other prior samples them by
DDIM in 50 steps, and they are kept in a folder.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
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
from backend.priors.picture_bank import ObjectPictures
from backend.priors.settings import LoRAFile

SIDES, EACH, STEPS, SCALE, ELEVATION = 8, 4, 50, 7.5, 15.0
MOST = 30  # objects of a kit
# prior, noise, its levels, conditions, steps, guidance scale -> clean samples
Sampler = Callable[[Prior, Tensor, Tensor, Conditions, int, float], Tensor]


def with_all_objects(job: Job) -> Job:
    """The job with all objects that match its prompt, instead of those drawn by its seed."""
    return replace(job, recipe=replace(job.recipe, catalogue=replace(job.recipe.catalogue, objects=0)))


def references(
    prior: Prior, name: str, prompt: str, folder: Path, loras: tuple[LoRAFile, ...] = ()
) -> tuple[Tensor, Tensor]:
    """The prior's own pictures (N,H,W,3) in [0,1], on middle grey, and their azimuths (N,).

    Sampled pictures are kept in the folder.
    """
    if isinstance(prior, CataloguePrior):
        return own_views(prior)
    file = folder / f"references-{slug(prompt)}-{prior_checksum(name, loras)}.npy"
    around = orbit(SIDES, elevation=ELEVATION)
    try:
        return torch.from_numpy(np.load(file)).float() / 255, around.azimuth.repeat(EACH)
    except (OSError, EOFError, ValueError):  # missing or damaged
        pass
    pictures = torch.cat([draw(prior, prompt, around, seed) for seed in range(EACH)])
    with replacing(file) as new, new.open("wb") as stream:
        np.save(stream, (pictures * 255).round().byte().numpy())
    return pictures, around.azimuth.repeat(EACH)


def own_views(prior: CataloguePrior) -> tuple[Tensor, Tensor]:
    """At most MOST objects of the kit from SIDES of the grid's cameras: pictures (N,S,S,3) and azimuths (N,)."""
    x = own_samples(prior, MOST)
    return torch.cat([prior.decode(views).cpu() for views in x]), prior.grid[own_cameras(prior)].azimuth.repeat(len(x))


def own_samples(prior: CataloguePrior, most: int) -> Tensor:
    """Pictures of at most `most` objects, spread evenly over the prior's: x (K,SIDES,4,S,S)."""
    objects, cameras = prior.sources[0], own_cameras(prior)
    assert isinstance(objects, ObjectPictures)
    read = objects.read[:: -(-objects.count // most)]
    x = [rgba_to_x(torch.from_numpy(one())[cameras], prior.image_size) for one in read]
    return torch.stack(x).to(prior.device)


def own_cameras(prior: CataloguePrior) -> Tensor:
    """The numbers (SIDES,) of the grid's cameras that correspond to those of `orbit`."""
    ring = (prior.grid.elevation == ELEVATION).nonzero()[:, 0]
    return ring[:: len(ring) // SIDES]


@functools.cache
def prior_checksum(name: str, loras: tuple[LoRAFile, ...] = ()) -> str:
    """A checksum of a kit's files, or of the settings by which another prior's pictures are sampled."""
    settings = (name, SIDES, EACH, STEPS, SCALE, ELEVATION, MOST, *loras)
    folder, mark = kit_folder(name), zlib.crc32(repr(settings).encode())
    files = () if folder is None else sorted(file for file in folder.iterdir() if file.is_file())
    for file in files:
        mark = zlib.crc32(file.read_bytes(), zlib.crc32(file.name.encode(), mark))
    return f"{mark:08x}"


def draw(
    prior: Prior,
    prompt: str,
    cameras: Cameras,
    seed: int,
    steps: int = STEPS,
    scale: float = SCALE,
    sampler: Sampler = ddim_sample,
) -> Tensor:
    """Sample the prompt for each camera, all from one noise: (B,H,W,3) in [0,1], on the CPU.

    Starts at the last level but one, as the last may have no signal to divide by.
    """
    blank = torch.zeros(1, prior.image_size, prior.image_size, prior.channels, device=prior.device)
    clean = prior.encode(blank)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(clean)
    t = torch.full((len(cameras),), len(prior.alphas_cumprod) - 2, device=prior.device)
    conditions = Conditions(view_condition(prior, prompt, cameras), prior.condition([""] * len(cameras)))
    sample = sampler(prior, noise.repeat(len(cameras), 1, 1, 1), t, conditions, steps, scale)
    # One by one: a large prior's decoder needs gigabytes for each.
    return torch.cat([prior.decode(one).clamp(0, 1).float().cpu() for one in torch.split(sample, 1)])


def view_condition(prior: Prior, prompt: str, cameras: Cameras) -> Condition:
    """The condition of the prompt with the word for each camera's view."""
    words = [view_word(float(a), float(e)) for a, e in zip(cameras.azimuth, cameras.elevation, strict=True)]
    return prior.condition([f"{prompt}, {word} view" for word in words], cameras)
