"""What the server offers besides priors: the objectives with their settings, for the add-on's panel."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import torch

from backend.guidance.rules import RULES
from backend.job.tuning import QUALITIES, default_recipe
from backend.priors.kit import EMBEDDED
from backend.priors.settings import CatalogueSettings
from shared import VERSION
from shared.messages import PROTOCOL_VERSION, Objective, Option, Welcome

KINDS = {"integer": "int", "number": "float", "boolean": "bool", "string": "text"}


def welcome(kits: str = "", devices: tuple[str, ...] = ()) -> Welcome:
    """The answer to Hello; `kits` is the folder whose kits are offered, `devices` those of the workers: () for all."""
    cards = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    apple = ("mps",) if torch.backends.mps.is_available() else ()
    return Welcome(
        protocol=PROTOCOL_VERSION,
        version=VERSION,
        objectives=tuple(map(objective, RULES)),
        qualities=QUALITIES,
        devices=devices or ("auto", "cpu", *cards, *apple),
        kits=kits,
    )


def objective(name: str) -> Objective:
    """One objective.  Title and description are the first line of its module, "SDS: score distillation ..."."""
    rule = RULES[name]
    first_line = (sys.modules[rule.__module__].__doc__ or "").strip().splitlines()[0]
    title, _, description = first_line.partition(": ")
    recipe = default_recipe(name, EMBEDDED)
    options = _options(rule.Options, recipe.options)
    catalogue = _options(CatalogueSettings, msgspec.to_builtins(recipe.catalogue))
    return Objective(
        name=name,
        title=title,
        description=description,
        options=options,
        catalogue=catalogue,
        particles=rule.particles,
    )


def _options(settings: type[msgspec.Struct], tuned: dict[str, Any]) -> tuple[Option, ...]:
    """A struct's fields; its own come before inherited ones, as panels show the first few."""
    fields = msgspec.json.schema(settings)["$defs"][settings.__name__]["properties"]
    own_first = sorted(fields, key=lambda key: key not in settings.__annotations__)
    return tuple(_option(key, fields[key] | {"default": tuned.get(key, fields[key]["default"])}) for key in own_first)


def _option(name: str, field: dict[str, Any]) -> Option:
    """From the JSON schema of a field."""
    choices = field.get("enum", ())
    common: dict[str, Any] = {"name": name, "default": field["default"], "description": field.get("description", "")}
    if choices and all(isinstance(choice, int) for choice in choices):
        return Option(kind="int", low=min(choices), high=max(choices), **common)
    if choices:
        return Option(kind="choice", choices=tuple(choices), **common)
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    return Option(kind=KINDS[field["type"]], low=low, high=high, **common)  # type: ignore[arg-type]
