"""A job: a sentence, a seed, and the recipe by which it is made; and how one is read from what somebody wrote.

A job file may leave fields out: they take the recipe that is tuned for its objective and prior (`default_recipe`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from backend.errors import UserError
from backend.guidance.rules import RULES
from backend.job.recipe import Recipe
from backend.job.tuning import QUALITIES, Quality, default_recipe
from backend.priors.kit import EMBEDDED

PROMPT_LIMIT = 1000


class JobError(UserError):
    """A job that cannot be run: one sentence with the name of the field."""


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run: a sentence, a seed, and how."""

    prompt: str
    negative_prompt: str = ""
    objective: str = "vdm"  # a name in RULES
    prior: str = EMBEDDED  # or the folder of a kit, a diffusers folder, a hub id
    seed: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    quality: Quality = "normal"  # how long the recipe's run is, and how many splats it has
    init_mesh: str | None = None
    keep_shape: Annotated[float, Meta(ge=0, le=1)] = 0.0  # how closely the run keeps to the init mesh
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    recipe: Recipe = Recipe()
    # Of the recipe, what somebody chose; all else was taken from the tables.  Not there where nobody knows any more.
    said: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def make_job(fields: dict[str, Any]) -> Job:
    """A full job from what somebody wrote: defaults filled in, every value checked.

    Raises JobError with the field's name: unknown keys, wrong types, values out of range, an empty prompt.
    """
    for name, choices in (("objective", tuple(RULES)), ("quality", QUALITIES)):
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
