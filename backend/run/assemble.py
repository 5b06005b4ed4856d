"""The only place where the names in a job become objects: prior, objective, scene; the device is in devices.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from backend.guidance import corrective
from backend.guidance.base import Objective
from backend.guidance.rules import RULES
from backend.job.job import Job, JobError
from backend.job.tuning import default_recipe
from backend.priors.base import Counted, Prior
from backend.priors.catalogue import Catalogue, CataloguePrior
from backend.priors.kit import INDEX, SHIPPED, kit_folder
from backend.run.devices import scene_device
from backend.run.distill import MOST_HALVINGS, Run
from backend.run.large_prior import load_large_prior
from backend.run.prompts import Prompts
from backend.scenes.base import Scene
from backend.scenes.field import FieldScene
from backend.scenes.field_grid import blob
from backend.scenes.field_splats import as_field
from backend.scenes.image import ImageScene
from backend.scenes.initial import from_mesh, sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.splats import Splats

if TYPE_CHECKING:  # imported when a job needs it, as it brings diffusers
    pass

PLACEHOLDERS = 16  # splats, replaced by those of a checkpoint


@dataclass(frozen=True)
class Start:
    """What a run starts from."""

    splats: Splats  # in the unit ball, Z up
    to_scene: torch.Tensor  # 4x4, from the unit ball to its place in the world
    generator: torch.Generator  # the run's, as it is once the splats are made
    plain: bool = False  # a grey ball, or what a checkpoint replaces


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


def load_prior(job: Job, device: torch.device) -> tuple[Prior, list[str]]:
    """The prior of a job, and sentences on how it reads the prompt.  PriorError if it cannot be used."""
    folder = kit_folder(job.prior)
    if folder is None:
        large = load_large_prior(job.prior, device, job.loras)
        ignored = [] if job.start == "draft" else ["catalogue"]  # a draft uses it
        unused = unused_settings(job, ignored, "this prior is not a kit of objects")
        return large, [*large.notes, *unused, *corrective_notes(job)]
    settings = job.recipe.catalogue
    if device.type == "mps":  # it lacks operations that a kit's score needs, and a kit is quick enough on the CPU
        device = torch.device("cpu")
    prior = CataloguePrior(open_kit(folder), job.prompt, job.negative_prompt, settings, job.seed, device=device)
    ignored = ["backgrounds", "cameras.fov", "cameras.framing"]
    notes = unused_settings(job, ignored, "this prior has its own cameras and no backgrounds")
    if job.loras:
        notes.append("Not used: loras; a kit of objects has no networks that a LoRA could change.")
    return prior, prior.notes + notes + corrective_notes(job)


def unused_settings(job: Job, settings: Sequence[str], why: str) -> list[str]:
    """A sentence where the job sets part of the recipe that its prior ignores."""
    tuned = default_recipe(job.objective, job.prior, job.quality, scene=job.scene)
    changed = [name for name in settings if attrgetter(name)(job.recipe) != attrgetter(name)(tuned)]
    return [f"Not used: {', '.join(f'recipe.{name}' for name in changed)}; {why}."] if changed else []


def unused_by_scene(job: Job) -> list[str]:
    """A sentence where the user set something for the other kind of scene."""
    other, own = ("splats", "field") if job.scene == "field" else ("field", "splats")
    said = job.said.get(other, {}) if isinstance(job.said, dict) else {}
    names = [f"recipe.{other}.{name}" for name in said]
    kind = "a radiance field" if job.scene == "field" else "splats"
    return [f"Not used: {', '.join(names)}; the scene is {kind}, set by recipe.{own}."] if names else []


def make_scene(job: Job, start: Start, device: torch.device) -> Scene:
    """What is optimised, at its start, beside a prior on a device."""
    recipe, place = job.recipe, scene_device(job.scene, device)[0]
    if job.scene == "splats":
        return SplatScene(start.splats, recipe.splats, recipe.steps, place, recipe.splats_max)
    settings, side = recipe.field, recipe.field.levels[-1]
    if start.plain:
        grid = blob(side, settings.initial_radius, settings.initial_density)
    else:
        grid = as_field(start.splats, side, torch.Generator().manual_seed(job.seed))
    return FieldScene(grid, settings, recipe.steps, place)


def corrective_notes(job: Job) -> list[str]:
    """A sentence where LMC-SDS has no network for the job's prior, or one that was trained for another."""
    if job.objective != "lmc":
        return []
    kit, file = kit_folder(job.prior), job.recipe.options.get("corrective", "")
    make = f"make one with: python -m backend train-lmc --prior {job.prior} --out FILE"
    if not file:
        missing = f"There is no corrective for this prior, so LMC-SDS works as SDS: {make}"
        return [] if kit is not None else [f"{missing} --pictures DIR, and name it in recipe.options.corrective."]
    trained = corrective.load(Path(file).expanduser())[1]
    return [] if trained == job.prior else [f"The corrective {file} was trained for {trained}; {make}."]


def start_generator(job: Job, generator: torch.Generator) -> torch.Generator:
    """The generator for the initial splats: the run's own, or one with a seed that several runs share."""
    seed = job.recipe.start_seed
    return generator if seed is None else torch.Generator().manual_seed(seed)


def plain_start(job: Job, warn: Callable[[str], None] = lambda _: None) -> Start:
    """The job's initial mesh, or a grey ball.  `warn` gets a sentence for each part of the mesh that was not used."""
    settings, generator = job.recipe.splats, torch.Generator().manual_seed(job.seed)
    drawn = start_generator(job, generator)
    if job.init_mesh:
        return Start(*from_mesh(job.init_mesh, settings.initial_count, drawn, warn, settings.cap_max), generator)
    shape, opacity = settings.initial_shape, settings.initial_opacity
    ball = sphere(settings.initial_count, settings.initial_radius, drawn, shape=shape, opacity=opacity)
    return Start(ball, torch.eye(4), generator, plain=True)


def placeholder_start(job: Job, to_scene: torch.Tensor) -> Start:
    """A few splats that those of a checkpoint replace."""
    generator = torch.Generator().manual_seed(job.seed)
    return Start(sphere(PLACEHOLDERS, 1.0, generator), to_scene, generator, plain=True)


def assemble_picture(job: Job, prior: Prior, device: torch.device, rate: float) -> tuple[Run, ImageScene]:
    """Text-to-2D: everything that `distill` needs to optimise as many pictures as the recipe has views."""
    recipe, generator, counted = job.recipe, torch.Generator().manual_seed(job.seed), Counted(prior)
    objective = make_objective(job.objective, recipe.options)
    prompts = Prompts(counted, job.prompt, job.negative_prompt, recipe.view_prompts, False, recipe.guidance_rescale)
    scene = ImageScene(recipe.views, recipe.side(0.0), rate, start_generator(job, generator), device, prior.channels)
    # Its pictures are the views: their number is fixed.
    return Run(scene, counted, objective, prompts, recipe, generator, halved=MOST_HALVINGS), scene


def assemble(job: Job, prior: Prior, device: torch.device, start: Start | None = None) -> Run:
    """Everything that `distill` needs, at step 0; without a start, from the job's initial mesh or a grey ball.

    All particles begin with the same splats.
    """
    recipe, counted = job.recipe, Counted(prior)
    start = start or plain_start(job)
    objective = make_objective(job.objective, recipe.options)
    wording = (job.prompt, job.negative_prompt, recipe.view_prompts, recipe.perp_neg, recipe.guidance_rescale)
    prompts = Prompts(counted, *wording)
    scene, *others = (make_scene(job, start, device) for _ in range(job.particles))
    return Run(scene, counted, objective, prompts, recipe, start.generator, others=tuple(others))
