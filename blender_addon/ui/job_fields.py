"""The fields of a job's job.json, of what the artist has set in the panel."""

from __future__ import annotations

from typing import Any

import bpy

from ..net.state import EMBEDDED, addon_state
from .properties import KIT_SETTINGS, SPLATSMITH_PG_settings, chosen_objective, is_kit, kit_options
from .starts import START_NAMES, WITH_SHAPE


def takes_particles(settings: SPLATSMITH_PG_settings) -> bool:
    """Whether several particles mean something to the chosen objective."""
    rule = chosen_objective(settings)
    return rule is not None and rule.particles


def changed_options(settings: SPLATSMITH_PG_settings) -> dict[str, dict[str, Any]]:
    """What the artist has changed: options of the chosen objective, and of kits if one is chosen."""
    rule = chosen_objective(settings)
    groups = {"options": {option.name: option.name for option in (rule.options if rule else ())}}
    groups[KIT_SETTINGS] = {option.name: f"{KIT_SETTINGS}.{option.name}" for option in kit_options(settings)}
    items = {group: {key: settings.option(name) for key, name in names.items()} for group, names in groups.items()}
    changed = {
        group: {key: item.value for key, item in found.items() if item is not None and item.touched}
        for group, found in items.items()
    }
    return {group: values for group, values in changed.items() if values}


def job_fields(settings: SPLATSMITH_PG_settings, seed: int) -> dict[str, Any]:
    """The fields of the job's job.json."""
    said = settings.prior.strip() or EMBEDDED
    prior = addon_state.prior(said)
    fields: dict[str, Any] = {
        "prompt": settings.prompt.strip(),
        "negative_prompt": settings.negative_prompt.strip(),
        "objective": settings.objective_name,
        "prior": prior.name if prior else said,
        "seed": seed,
        "quality": settings.quality_name,
    }
    if settings.start in WITH_SHAPE:
        fields["keep_shape"] = round(settings.keep_shape, 4)
    if settings.start in START_NAMES:
        fields["start"] = START_NAMES[settings.start]
    if settings.lora.strip() and not is_kit(settings):
        file = bpy.path.abspath(settings.lora.strip())
        fields["loras"] = [{"file": file, "weight": round(settings.lora_weight, 4)}]
    if settings.particles > 1 and takes_particles(settings):
        fields["particles"] = settings.particles
    if settings.scene != "SPLATS":
        fields["scene"] = settings.scene.lower()
    mesh = {"mesh": {"refine_steps": settings.refine_steps}} if settings.refine_steps else {}
    recipe = changed_options(settings) | mesh
    return fields | ({"recipe": recipe} if recipe else {})
