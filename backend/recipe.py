"""Everything that shapes a run, as frozen structs that are JSON on disk: `Job` and, in it, `Recipe`.

A job file may leave fields out: they take the recipe tuned for its objective and prior (`default_recipe`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from backend.cameras import CameraRange
from backend.errors import UserError
from backend.priors.kit import INDEX, SHIPPED
from backend.priors.settings import CatalogueSettings
from backend.scenes.settings import SplatSettings
from backend.timesteps import Timesteps

ObjectiveName = Literal[
    "sds", "jsd", "vdm", "csd", "nfsd", "ism", "sdi", "ssd", "consistent3d", "asd-async", "vsd", "asd", "lods"
]
OBJECTIVE_NAMES: tuple[str, ...] = get_args(ObjectiveName)
Quality = Literal["draft", "normal", "high"]
QUALITIES: tuple[str, ...] = get_args(Quality)
EMBEDDED = "embedded"
PROMPT_LIMIT = 1000
MOST_STEPS = 100_000


def kit_folder(prior: str) -> Path | None:
    """The folder of the kit that a job's prior is, None for any other kind of prior."""
    if prior == EMBEDDED:
        return SHIPPED
    folder = Path(prior).expanduser()
    return folder if (folder / INDEX).is_file() else None


class JobError(UserError):
    """A job that cannot be run: one sentence with the name of the field."""


class Backgrounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a view stands before each kind of background (relative shares)."""

    white: Annotated[float, Meta(ge=0)] = 1.0
    black: Annotated[float, Meta(ge=0)] = 0.0
    middle: Annotated[float, Meta(ge=0)] = 0.0  # middle grey
    grey: Annotated[float, Meta(ge=0)] = 0.0  # any grey
    colour: Annotated[float, Meta(ge=0)] = 0.0  # any colour

    def __post_init__(self) -> None:
        if self.white + self.black + self.middle + self.grey + self.colour == 0:
            raise ValueError("At least one kind of background needs a share above 0")


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From this share of the run on, pictures are rendered with this side in pixels."""

    start: Annotated[float, Meta(ge=0, le=1)] = 0.0
    side: Annotated[int, Meta(ge=16, le=1024)] = 64


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a run but what it is a picture of."""

    steps: Annotated[int, Meta(ge=1, le=MOST_STEPS)] = 600
    views: Annotated[int, Meta(ge=1, le=64)] = 4  # per step
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)] = (Stage(),)
    cameras: CameraRange = CameraRange()
    backgrounds: Backgrounds = Backgrounds()
    timesteps: Timesteps = Timesteps()
    view_prompts: bool = True
    perp_neg: bool = False
    guidance_rescale: Annotated[float, Meta(ge=0, le=1)] = 0.0  # how much of guidance's added contrast is taken back
    options: dict[str, Any] = {}  # of the objective; what is left out takes the objective's default
    splats: SplatSettings = SplatSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    # Draws what a run starts from in place of the job's seed: runs of several seeds then differ in their noise alone.
    start_seed: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    checkpoint_every: Annotated[int, Meta(ge=1)] = 100

    def side(self, progress: float) -> int:
        """Side in pixels of the pictures at this share of the run."""
        return max((stage for stage in self.stages if stage.start <= progress), key=lambda stage: stage.start).side


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run: a sentence, a seed, and how."""

    prompt: str
    negative_prompt: str = ""
    objective: ObjectiveName = "vdm"
    prior: str = EMBEDDED  # or the folder of a kit, a diffusers folder, a hub id
    seed: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    quality: Quality = "normal"  # how long the recipe's run is, and how many splats it has
    init_mesh: str | None = None
    keep_shape: Annotated[float, Meta(ge=0, le=1)] = 0.0  # how closely the run keeps to the init mesh
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    recipe: Recipe = Recipe()
    # Of the recipe, what somebody chose; all else was taken from the tables.  Not there where nobody knows any more.
    said: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def default_recipe(objective: str, prior: str, quality: str = "normal", keep_shape: float = 0.0) -> Recipe:
    """The recipe tuned for an objective on the embedded prior, or else on a Stable Diffusion-like one.

    `quality` is one of QUALITIES.  `keep_shape` in [0,1] is for runs that start from a mesh: the higher, the less of
    the first, shape-making noise levels they see, and the slower their splats move, turn and change their size.
    """
    # The tables are data; they need our classes.
    from backend.defaults import PLAIN, RECIPES, at_quality, for_kit, shape_kept

    kind = "large" if kit_folder(prior) is None else EMBEDDED
    recipe = RECIPES.get((objective, kind), PLAIN[kind])
    scaled = at_quality(recipe, quality)
    return shape_kept(for_kit(scaled, quality) if kind == EMBEDDED else scaled, keep_shape)


def make_job(fields: dict[str, Any]) -> Job:
    """A full job from what somebody wrote: defaults filled in, every value checked.

    Raises JobError with the field's name: unknown keys, wrong types, values out of range, an empty prompt.
    """
    for name, choices in (("objective", OBJECTIVE_NAMES), ("quality", QUALITIES)):
        if name in fields and fields[name] not in choices:
            raise JobError(f"{name}: {fields[name]!r} is not one of {', '.join(choices)}.")
    said = _convert({key: value for key, value in fields.items() if key != "recipe"})
    keep_shape = said.keep_shape if said.init_mesh else 0.0
    recipe = fields.get("recipe", {})
    if isinstance(recipe, dict):
        defaults = default_recipe(said.objective, said.prior, said.quality, keep_shape)
        recipe = merged(msgspec.to_builtins(defaults), recipe)
    job = _convert({**_with_said(fields), "recipe": recipe})
    _check_prompt("prompt", job.prompt)
    if job.negative_prompt:
        _check_prompt("negative_prompt", job.negative_prompt)
    return job


def is_complete(recipe: Any) -> bool:
    """Whether every setting stands in what is written of a recipe, as in the job file of a run."""
    return isinstance(recipe, dict) and set(Recipe.__struct_fields__) <= recipe.keys()


def _with_said(fields: dict[str, Any]) -> dict[str, Any]:
    """What stands in the recipe was said, but where it is all of a recipe."""
    recipe = fields.get("recipe", {})
    return fields if "said" in fields or is_complete(recipe) else {**fields, "said": recipe}


def read_job(path: Path, field: str = "job") -> dict[str, Any]:
    """The fields of a job file; JobError, with the name of what was read, where it is not a JSON object."""
    try:
        fields = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise JobError(f"{field}: {path} cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JobError(f"{field}: {path} is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise JobError(f"{field}: {path} holds no JSON object.")
    return fields


def _convert(fields: dict[str, Any]) -> Job:
    try:
        return msgspec.convert(fields, Job)
    except msgspec.ValidationError as error:
        raise JobError(_sentence(str(error))) from error


def _check_prompt(field: str, text: str) -> None:
    if not text.strip():
        raise JobError(f"{field}: is empty; say in a few words what to make.")
    if len(text) > PROMPT_LIMIT:
        raise JobError(f"{field}: has {len(text)} characters; {PROMPT_LIMIT} are the most.")


def merged(base: Any, over: dict[str, Any]) -> Any:
    """`over` on top of `base`, struct by struct; a base that is no struct is left for the checks to refuse."""
    if not isinstance(base, dict):
        return base
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _sentence(message: str) -> str:
    """msgspec's "Expected `int` >= 1 - at `$.recipe.steps`" with the field in front."""
    what, _, where = message.partition(" - at ")
    field = where.strip("`").removeprefix("$").removeprefix(".") or "job"
    if "unknown field" in what or "missing required field" in what:
        return f"{field}: {what[0].lower()}{what[1:]}.".replace("object contains", "has the")
    return f"{field}: {what[0].lower()}{what[1:]}."
