"""`train-lmc`: trains the corrective of LMC-SDS on clean pictures and writes it to a file.

For a kit these are its own photographs, each with the prompt that its name is.  A large model needs a folder of
pictures, each with its words in a text file of the same name, or without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from backend.errors import UserError
from backend.files import replacing
from backend.guidance import adam_state, corrective
from backend.guidance.corrective import Corrective
from backend.guidance.guide import noise_like
from backend.job.tuning import default_recipe
from backend.priors.base import Condition, Prior, PriorError
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import grid_cameras
from backend.priors.kit import EMBEDDED, kit_folder
from backend.run.assemble import open_kit
from backend.run.devices import choose_device
from backend.run.large_prior import load_large_prior
from backend.tensors import onto
from backend.terminal import console, say

RATE = 2e-3  # of Adam, falling to zero by half a cosine
VIEWS = 4  # of one object, or pictures, in a batch
OBJECT_STEPS = 10  # with one prompt, before the next is read
SIDES = (*[64] * 9, 128)  # pixels: those of a run's stages, the coarse one more often, as it is quicker
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST = 1_000_000


@dataclass(frozen=True)
class Sample:
    """Clean samples x (B,C,h,w) of a prior, and the condition that describes them."""

    prior: Prior
    x: Tensor
    y: Condition
    together: bool = False  # views of one object, which share one level


def train_lmc(name: str, pictures: Path | None, out: Path, steps: int, seed: int, device: str) -> int:
    """Train and write; the exit code.  UserError before anything is trained where a setting cannot be used."""
    if not 1 <= steps <= MOST:
        raise UserError(f"steps: {steps} is out of range; use a number from 1 to {MOST}.")
    if out.is_dir():
        raise UserError(f"out: {out} is a folder; name a file.")
    samples = _samples(name, pictures, seed, device)
    first = next(samples)
    network = Corrective.create(first.x.shape[1], seed).to(first.x.device)
    found = list(track(fit(network, samples, steps, seed), "training", steps, console=console))
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as new:
        corrective.save(network.cpu(), new, name)
    say(f"{out}: {out.stat().st_size / 1e3:.0f} kB; {explained(found):.0%} of what the prior changes in these pictures")
    return 0


def explained(found: list[tuple[float, float]]) -> float:
    """The share of the prior's deviation that b has, in the last quarter of the training; 0 where there is none."""
    left, there = (sum(values) for values in zip(*found[-max(1, len(found) // 4) :], strict=True))
    return 1 - left / there if there else 0.0


def fit(network: Corrective, samples: Iterable[Sample], steps: int, seed: int) -> Iterator[tuple[float, float]]:
    """Train in place; each step's loss, and what it would be for b = x.  One seed and samples give the same weights."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _, sample in zip(range(steps), samples, strict=False):
        levels = torch.randint(1, len(sample.prior.alphas_cumprod) - 1, (len(sample.x),), generator=generator)
        t = onto(levels[:1].expand(len(levels)) if sample.together else levels, sample.x.device)
        eps = noise_like(sample.x, generator)
        value, untouched = corrective.losses(network, sample.prior, sample.x, t, sample.y, eps)
        adam.zero_grad()
        torch.autograd.backward(value)
        adam_state.step(adam)
        schedule.step()
        yield float(value.detach()), float(untouched)


def _samples(name: str, pictures: Path | None, seed: int, device: str) -> Iterator[Sample]:
    """The clean pictures for a prior, without end."""
    folder = kit_folder(name)
    if folder is not None:
        if pictures is not None:
            raise UserError("pictures: a kit has its own; leave this out.")
        return of_kit(folder, seed)
    if pictures is None:
        raise UserError(
            "pictures: an image model has none of its own; name a folder of clean ones with --pictures DIR."
        )
    found = _files(pictures)
    return of_pictures(load_large_prior(name, choose_device(device)), found, seed)


def of_kit(folder: Path, seed: int) -> Iterator[Sample]:
    """Views of one object after the other, with its name as the prompt, as a run of LMC would see it."""
    catalogue, dice = open_kit(folder), np.random.default_rng(seed)
    settings, grid = default_recipe("lmc", EMBEDDED).catalogue, grid_cameras()
    while True:
        name = catalogue.kit.objects[int(dice.integers(len(catalogue.kit)))].name
        try:
            prior = CataloguePrior(catalogue, name, "", settings, int(dice.integers(2**31)))
        except PriorError:  # a name that is no prompt
            continue
        number = int(dice.integers(prior.sources[0].count))
        for step in range(OBJECT_STEPS):
            views = torch.from_numpy(dice.choice(len(grid), VIEWS, replace=False))
            side = SIDES[step % len(SIDES)]
            x = torch.stack([prior.sources[0].pictures(int(view), side).x[number] for view in views])
            yield Sample(prior, x, prior.condition([name] * VIEWS, grid[views]), together=True)


def of_pictures(prior: Prior, files: list[Path], seed: int) -> Iterator[Sample]:
    """Batches of the pictures in random order; each is encoded when it is first seen."""
    dice, known = np.random.default_rng(seed), dict[Path, tuple[Tensor, str]]()
    while True:
        chosen = [files[int(number)] for number in dice.integers(len(files), size=VIEWS)]
        for file in chosen:
            if file not in known:
                known[file] = _encoded(prior, file), _words(file)
        x = torch.cat([known[file][0] for file in chosen])
        yield Sample(prior, x, prior.condition([known[file][1] for file in chosen]))


def _files(folder: Path) -> list[Path]:
    """The pictures in a folder; UserError where there is none, or one is damaged."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"pictures: {folder} has no {', '.join(SUFFIXES)}; name a folder of pictures.")
    for file in files:
        try:
            with Image.open(file) as picture:
                picture.verify()
        except (OSError, SyntaxError, UnidentifiedImageError) as error:
            raise UserError(f"pictures: {file} cannot be read as a picture; remove it.") from error
    return files


@torch.no_grad()
def _encoded(prior: Prior, file: Path) -> Tensor:
    """The middle square of a picture as a clean sample (1,C,h,w)."""
    with Image.open(file) as picture:
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        square = picture.convert("RGB").crop((left, top, left + side, top + side))
        small = square.resize((prior.image_size, prior.image_size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(small)).to(prior.device)[None]
    return prior.encode(pixels.float() / 255).float()


def _words(file: Path) -> str:
    """What the text file beside a picture says."""
    beside = file.with_suffix(".txt")
    return beside.read_text(encoding="utf-8", errors="replace").strip() if beside.is_file() else ""
