"""A job: a prompt, a seed and the recipe; and how one is read from a job file.

A job file may leave fields out: they take the recipe that is tuned for its objective and prior (`default_recipe`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from backend.errors import UserError
from backend.guidance.rules import RULES
from backend.job.paths import WRITTEN_IN, absolute_paths
from backend.job.recipe import Recipe
from backend.job.tuning import QUALITIES, Quality, default_recipe
from backend.priors.kit import EMBEDDED
from backend.priors.settings import LoRAFile

PROMPT_LIMIT = 1000
MOST_PARTICLES = 16
SceneKind = Literal["splats", "field"]
SCENES: tuple[str, ...] = get_args(SceneKind)
StartKind = Literal["sphere", "draft", "shap-e", "mesh", "job"]
STARTS: tuple[str, ...] = get_args(StartKind)
START_PRIORS = {"draft": EMBEDDED, "shap-e": "openai/shap-e"}
START_SOURCES = {"mesh": "init_mesh", "job": "start_from"}  # the field that names what is started from

# RULES is looked up at each call: whoever studies rules adds one while the program runs.
CHOICES: dict[str, Collection[str]] = {"objective": RULES, "quality": QUALITIES, "scene": SCENES, "start": STARTS}


class JobError(UserError):
    """A job that cannot be run: one sentence with the name of the field."""


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run: prompt, seed, objective, prior and recipe."""

    prompt: str
    negative_prompt: str = ""
    objective: str = "vdm"  # a name in RULES
    prior: str = EMBEDDED  # or the folder of a kit, a diffusers folder, a checkpoint's file, a hub id
    loras: tuple[LoRAFile, ...] = ()  # fused into an image model, in this order
    seed: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    quality: Quality = "normal"  # scales the recipe's steps and number of splats
    particles: Annotated[int, Meta(ge=1, le=MOST_PARTICLES)] = 1  # scenes that are optimised together
    scene: SceneKind = "splats"  # what is optimised: splats, or a radiance field that becomes splats at the end
    # A grey ball; a draft of a kit, on which the run goes on; Shap-E's mesh; the init mesh; the splats of a job.
    start: StartKind = "sphere"
    start_prior: str = ""  # of a draft: embedded, or the folder of a kit; of Shap-E: a diffusers folder or hub id
    start_from: str | None = None  # the folder of the job whose splats are the start
    start_by_default: bool = False  # nobody chose the start: with another prior it is looked up again
    init_mesh: str | None = None
    keep_shape: Annotated[float, Meta(ge=0, le=1)] = 0.0  # how closely the run keeps to what it starts from
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ..., mps
    recipe: Recipe = Recipe()
    # The settings of the recipe that the user chose; all others come from the tables.  Unset where that is not known.
    said: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def make_job(fields: dict[str, Any]) -> Job:
    """A full job from the fields that the user gave: defaults filled in, every value checked.

    Raises JobError with the field's name: unknown keys, wrong types, values out of range, an empty prompt.
    """
    fields = {name: value for name, value in fields.items() if name != WRITTEN_IN}
    for name, choices in CHOICES.items():
        if name in fields and fields[name] not in choices:
            raise JobError(f"{name}: {fields[name]!r} is not one of {', '.join(choices)}.")
    given = _convert({key: value for key, value in fields.items() if key != "recipe"})
    fields = fields | _start(given, said="start" in fields)
    keep_shape = 0.0 if fields["start"] == "sphere" else given.keep_shape
    recipe = fields.get("recipe", {})
    if isinstance(recipe, dict):
        defaults = default_recipe(given.objective, given.prior, given.quality, keep_shape, given.scene)
        recipe = merged(msgspec.to_builtins(defaults), recipe)
    job = _convert({**_with_said(fields), "recipe": recipe})
    _check_prompt("prompt", job.prompt)
    if job.negative_prompt:
        _check_prompt("negative_prompt", job.negative_prompt)
    if job.scene == "field" and job.quality == "two-stage":
        raise JobError("quality: two-stage is for splats; for a radiance field use draft, normal or high.")
    if job.particles > 1 and not RULES[job.objective].particles:
        raise JobError(_without_particles(job.objective))
    return job


def _without_particles(objective: str) -> str:
    others = [name for name, rule in RULES.items() if rule.particles]
    return (
        f"particles: to {objective} they would be nothing but several seeds: leave particles at 1 and run other seeds, "
        f"or choose one of {', '.join(others)}."
    )


def _start(given: Job, said: bool) -> dict[str, Any]:
    """The fields about the start, complete; JobError where they contradict each other."""
    sources = {start: getattr(given, name) for start, name in START_SOURCES.items() if getattr(given, name)}
    start = given.start if said else next(iter(sources), "sphere")
    for other in sources.keys() - {start}:
        raise JobError(f"{START_SOURCES[other]}: a run starts from one thing; leave this out, or have start: {other}.")
    if start in START_SOURCES and start not in sources:
        raise JobError(f"start: to start from a {start}, name it with {START_SOURCES[start]}.")
    if given.start_prior and start not in START_PRIORS:
        raise JobError("start_prior: is of no use here; have start: draft or start: shap-e beside it.")
    by_default = given.start_by_default if said else not sources
    prior = given.start_prior or START_PRIORS.get(start, "")
    return {"start": start, "start_prior": prior, "start_by_default": by_default}


def is_complete(recipe: Any) -> bool:
    """Whether a recipe as written has every setting, as the job file of a run does."""
    return isinstance(recipe, dict) and set(Recipe.__struct_fields__) <= recipe.keys()


def _with_said(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with `said`: everything in the recipe, unless the recipe is complete."""
    recipe = fields.get("recipe", {})
    return fields if "said" in fields or is_complete(recipe) else {**fields, "said": recipe}


def read_job(path: Path) -> dict[str, Any]:
    """The fields of a job file, its paths absolute; JobError where it is not a JSON object."""
    return absolute_paths(read_object(path, "job"), path.parent)


def read_object(path: Path, field: str) -> dict[str, Any]:
    """The JSON object in a file; JobError, beginning with `field`, where there is none."""
    try:
        fields = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise JobError(f"{field}: {path} cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JobError(f"{field}: {path} is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise JobError(f"{field}: {path} is not a JSON object.")
    return fields


def _convert(fields: dict[str, Any]) -> Job:
    try:
        return msgspec.convert(fields, Job)
    except msgspec.ValidationError as error:
        raise JobError(_sentence(str(error))) from error


def _check_prompt(field: str, text: str) -> None:
    if not text.strip():
        raise JobError(f"{field}: is empty; describe in a few words what to make.")
    if len(text) > PROMPT_LIMIT:
        raise JobError(f"{field}: has {len(text)} characters; the limit is {PROMPT_LIMIT}.")


def merged(base: Any, over: dict[str, Any]) -> Any:
    """`over` on top of `base`, struct by struct; a base that is not a struct is kept, and later refused."""
    if not isinstance(base, dict):
        return base
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _sentence(message: str) -> str:
    """msgspec's "Expected `int` >= 1 - at `$.recipe.steps`" as a sentence that begins with the field."""
    what, _, where = message.partition(" - at ")
    field = where.strip("`").removeprefix("$").removeprefix(".") or "job"
    if "unknown field" in what or "missing required field" in what:
        return f"{field}: {what[0].lower()}{what[1:]}.".replace("object contains", "has the")
    return f"{field}: {what[0].lower()}{what[1:]}."
