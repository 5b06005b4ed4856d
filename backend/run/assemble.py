"""The only place where the names in a job become objects: device, prior, objective, scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.guidance.base import Objective
from backend.guidance.rules import RULES
from backend.job.job import Job, JobError
from backend.job.tuning import default_recipe
from backend.priors.base import Counted, Prior
from backend.priors.catalogue import Catalogue, CataloguePrior
from backend.priors.kit import INDEX, SHIPPED, kit_folder
from backend.run.distill import Run
from backend.run.prompts import Prompts
from backend.scenes.image import ImageScene
from backend.scenes.initial import from_mesh, sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.splats import Splats
from shared.models import DownloadProgress

PLACEHOLDERS = 16  # splats, replaced by those of a checkpoint


def choose_device(name: str) -> torch.device:
    """ "auto" is the first CUDA card, or the CPU without one.  JobError where the device does not exist."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise JobError(f"device: {name!r} is not a device; use auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise JobError(f"device: {name!r} is not supported; use auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise JobError(f"device: there is no {name} on this machine; use auto or cpu.")
    return device


def make_objective(name: str, options: dict[str, Any]) -> Objective:
    """An objective with its options checked; JobError names the option."""
    rule = RULES[name]
    try:
        return rule(msgspec.convert(options, rule.Options))
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = "recipe.options" + where.strip("`").removeprefix("$")
        raise JobError(f"{field}: {what[0].lower()}{what[1:]}.") from error


def open_kit(folder: Path = SHIPPED) -> Catalogue:
    """A kit with its words; the last ones stay in memory until their index changes."""
    index = folder / INDEX
    return _open_kit(folder, index.stat().st_mtime_ns if index.exists() else 0)


@lru_cache(maxsize=4)
def _open_kit(folder: Path, _modified: int) -> Catalogue:
    return Catalogue.load(folder)


def fetch_prior(job: Job) -> Iterator[DownloadProgress]:
    """Download the job's model if it is one of the hub and not here; its progress, until it is here or closed.

    Raises:
        UserError: the model cannot be had, or the job has a device that does not exist.
    """
    if kit_folder(job.prior) is None:
        from backend.priors.model_folder import fetch_model

        choose_device(job.device)  # before it costs anything
        yield from fetch_model(job.prior)


@lru_cache(maxsize=1)
def load_large_prior(name: str, device: torch.device) -> Prior:
    """The model of a diffusers folder or hub id; the last one stays in memory."""
    from backend.priors.stable_diffusion import load_stable_diffusion

    return load_stable_diffusion(name, device)


def load_prior(job: Job, device: torch.device) -> tuple[Prior, list[str]]:
    """The prior of a job, and sentences on how it reads the prompt.  PriorError if it cannot be used."""
    folder = kit_folder(job.prior)
    if folder is None:
        return load_large_prior(job.prior, device), unused_settings(
            job, ["catalogue"], "this prior is not a kit of objects"
        )
    settings = job.recipe.catalogue
    prior = CataloguePrior(open_kit(folder), job.prompt, job.negative_prompt, settings, job.seed, device=device)
    ignored = ["backgrounds", "cameras.fov", "cameras.framing"]
    return prior, prior.notes + unused_settings(job, ignored, "this prior has its own cameras and no backgrounds")


def unused_settings(job: Job, settings: Sequence[str], why: str) -> list[str]:
    """A sentence where the job sets part of the recipe that its prior ignores."""
    tuned = default_recipe(job.objective, job.prior, job.quality)
    changed = [name for name in settings if attrgetter(name)(job.recipe) != attrgetter(name)(tuned)]
    return [f"Not used: {', '.join(f'recipe.{name}' for name in changed)}; {why}."] if changed else []


def start_generator(job: Job, generator: torch.Generator) -> torch.Generator:
    """The generator for the initial splats: the run's own, or one with a seed that several runs share."""
    seed = job.recipe.start_seed
    return generator if seed is None else torch.Generator().manual_seed(seed)


def initial_splats(
    job: Job, generator: torch.Generator, warn: Callable[[str], None] = lambda _: None
) -> tuple[Splats, torch.Tensor]:
    """The splats that the run starts from, and the 4x4 transform from the unit ball to their place in the world, Z up.

    `warn` gets a sentence for each part of the initial mesh that could not be used.
    """
    settings = job.recipe.splats
    if job.init_mesh:
        return from_mesh(job.init_mesh, settings.initial_count, generator, warn, settings.cap_max)
    shape, opacity = settings.initial_shape, settings.initial_opacity
    return sphere(settings.initial_count, settings.initial_radius, generator, shape=shape, opacity=opacity), torch.eye(
        4
    )


def assemble_picture(job: Job, prior: Prior, device: torch.device, rate: float) -> tuple[Run, ImageScene]:
    """Text-to-2D: everything that `distill` needs to optimise as many pictures as the recipe has views."""
    recipe, generator, counted = job.recipe, torch.Generator().manual_seed(job.seed), Counted(prior)
    objective = make_objective(job.objective, recipe.options)
    prompts = Prompts(counted, job.prompt, job.negative_prompt, recipe.view_prompts, False, recipe.guidance_rescale)
    scene = ImageScene(recipe.views, recipe.side(0.0), rate, start_generator(job, generator), device, prior.channels)
    return Run(scene, counted, objective, prompts, recipe, generator), scene


def assemble(
    job: Job,
    prior: Prior,
    device: torch.device,
    warn: Callable[[str], None] = lambda _: None,
    to_scene: torch.Tensor | None = None,
) -> tuple[Run, torch.Tensor]:
    """Everything that `distill` needs, at step 0; and the 4x4 transform from the unit ball to the initial mesh's place.

    `warn` gets a sentence for each part of the initial mesh that could not be used.  A run that is resumed passes its
    `to_scene`, and gets placeholders for the splats of its checkpoint.
    """
    recipe = job.recipe
    objective = make_objective(job.objective, recipe.options)
    generator = torch.Generator().manual_seed(job.seed)
    if to_scene is None:
        splats, to_scene = initial_splats(job, start_generator(job, generator), warn)
    else:
        splats = sphere(PLACEHOLDERS, 1.0, generator)
    counted = Counted(prior)
    wording = (job.prompt, job.negative_prompt, recipe.view_prompts, recipe.perp_neg, recipe.guidance_rescale)
    prompts = Prompts(counted, *wording)
    scene = SplatScene(splats, recipe.splats, recipe.steps, device)
    return Run(scene, counted, objective, prompts, recipe, generator), to_scene
