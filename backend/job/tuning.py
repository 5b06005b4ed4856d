"""The recipe for a job: the tuned one, adapted to the job's quality and to how closely it keeps to a mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from msgspec.structs import replace

from backend.job.defaults import FIELDS, FINE_LEVELS, MORE_SPLATS, PLAIN, RECIPES, REFINEMENTS, SMALL_STAGES
from backend.job.recipe import Recipe
from backend.priors.kit import EMBEDDED, kit_folder

Quality = Literal["draft", "normal", "high", "two-stage"]
QUALITIES: tuple[str, ...] = get_args(Quality)


@dataclass(frozen=True)
class Extent:
    """Steps and number of splats at a quality, as factors on the recipe's."""

    steps: float
    splats: float


EXTENTS = {
    "draft": Extent(steps=1 / 2, splats=1.0),
    "normal": Extent(steps=1.0, splats=1.0),
    "high": Extent(steps=2.5, splats=2.0),
    "two-stage": Extent(steps=7 / 8, splats=1.0),
}
SHAPING = ("lr_means", "lr_means_end", "lr_scale", "lr_rotation", "lr_opacity")
SLOWEST = 0.001  # factor on the learning rates of the shape at keep_shape 1


def default_recipe(
    objective: str, prior: str, quality: str = "normal", keep_shape: float = 0.0, scene: str = "splats"
) -> Recipe:
    """The recipe tuned for an objective on the embedded prior, or else on a Stable Diffusion-like one.

    `quality` is one of QUALITIES, `scene` splats or field.  `keep_shape` in [0,1] is for runs that start from a mesh:
    the higher, the less of the first, shape-making noise levels they see, and the slower their splats move, turn and
    change their size, or a field its density.
    """
    kind = "large" if kit_folder(prior) is None else EMBEDDED
    recipe = RECIPES.get((objective, kind), PLAIN[kind])
    scaled = at_quality(recipe, quality)
    scaled = for_kit(scaled, quality) if kind == EMBEDDED else scaled
    scaled = refined(scaled, kind) if quality == "two-stage" else scaled
    return shape_kept(for_field(scaled, kind, quality) if scene == "field" else scaled, keep_shape)


def for_kit(recipe: Recipe, quality: str) -> Recipe:
    """The recipe with the picture sizes of this quality, for a prior that is a kit."""
    return replace(recipe, stages=SMALL_STAGES.get(quality, SMALL_STAGES["draft"]))


def refined(recipe: Recipe, kind: str) -> Recipe:
    """The recipe in two parts: coarse splats, then larger pictures, finer levels and twice the splats."""
    second = REFINEMENTS[kind]
    coarse = tuple(replace(stage, start=second.start * stage.start) for stage in recipe.stages)
    most = round(MORE_SPLATS * recipe.splats.cap_max)
    return replace(recipe, stages=(*coarse, replace(second, splats_max=most)))


def for_field(recipe: Recipe, kind: str, quality: str) -> Recipe:
    """The recipe for a radiance field, which on a kit is drawn at 64 px: larger pictures show no more of its grids."""
    field = FIELDS[kind]
    if kind != EMBEDDED:
        return replace(recipe, field=field)
    if quality == "high":
        return replace(recipe, field=replace(field, levels=FINE_LEVELS, samples=2 * field.samples))
    return replace(recipe, field=field, stages=SMALL_STAGES["draft"])


def at_quality(recipe: Recipe, quality: str) -> Recipe:
    """The recipe for a run of another length and number of splats."""
    extent, splats = EXTENTS[quality], recipe.splats
    counts = {name: round(extent.splats * getattr(splats, name)) for name in ("initial_count", "cap_max")}
    scaled = replace(splats, **counts)
    return replace(recipe, steps=max(1, round(extent.steps * recipe.steps)), splats=scaled)


def shape_kept(recipe: Recipe, keep: float) -> Recipe:
    """The recipe for a run that keeps to the mesh it starts from: not at all at 0, almost exactly at 1.

    Positions, sizes, orientations and opacities learn more slowly, fewer splats grow, and there are more of them from
    the start, as smaller ones follow the mesh more closely.  The window of noise levels starts nearer to its end, as
    high levels change the shape.
    """
    splats, levels, pace = recipe.splats, recipe.timesteps, max(1.0 - keep, SLOWEST)
    rates = {name: pace * getattr(splats, name) for name in SHAPING}
    count = round(splats.initial_count + keep * max(splats.cap_max - splats.initial_count, 0))
    window = replace(
        levels,
        low_start=levels.low_start + keep * (levels.low_end - levels.low_start),
        high_start=levels.high_start + keep * (levels.high_end - levels.high_start),
    )
    kept = replace(splats, **rates, initial_count=count, grow_fraction=(1.0 - keep) * splats.grow_fraction)
    field = replace(recipe.field, lr_density=pace * recipe.field.lr_density)
    return replace(recipe, splats=kept, field=field, timesteps=window)
