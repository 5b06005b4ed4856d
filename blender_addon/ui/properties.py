"""What the artist sets, stored in the scene, and what the list of jobs needs, stored in the window manager.

The menus come from the backend: a new objective appears by itself, and its options are items of one collection.
No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

import random
from typing import Any, TypeAlias, cast

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..net.state import EMBEDDED, addon_state
from ..scene import results
from ..scene.blender_types import current_scene
from ..shared.messages import Objective, Option, Priors
from ..view.live_view import live_view
from .kit_properties import SPLATSMITH_PG_kit
from .menus import menu
from .options import SPLATSMITH_PG_option
from .starts import SCENES, STARTS

SEEDS = 2**31 - 1
IN_MAIN_PANEL = 3  # the first options of an objective are in the main panel, the others under More Settings
KIT_SETTINGS = "catalogue"  # what a recipe calls the settings of a prior that is a kit
QUALITIES = ("draft", "normal", "high", "two-stage")  # until the backend has named its own

Group: TypeAlias = bpy.types.PropertyGroup


def _objective_choices(_group: Group) -> list[tuple[str, str, str]]:
    return [(rule.name, rule.title, rule.description) for rule in addon_state.objectives]


def _quality_choices(_group: Group) -> list[tuple[str, str, str]]:
    offered = addon_state.welcome.qualities if addon_state.welcome else QUALITIES
    return [(name, name.capitalize(), f"The recipe named {name}") for name in offered]


def _priors(_settings: Group, _context: bpy.types.Context, _typed: str) -> list[tuple[str, str]]:
    return [(prior.title, prior.description) for prior in addon_state.priors.priors]


def _draw_switched(settings: "SPLATSMITH_PG_settings", _context: bpy.types.Context) -> None:
    results.hide_cubes(live_view.draws and settings.show_live)


class SPLATSMITH_PG_settings(bpy.types.PropertyGroup):
    """How to make the next job."""

    prompt: StringProperty(name="Prompt", description="What to make, in a few words", options={"TEXTEDIT_UPDATE"})
    negative_prompt: StringProperty(name="Negative Prompt", description="What the result should not look like")
    objective_name: StringProperty(name="Objective", description="The objective's name in a job file", default="vdm")
    objective: menu("objective_name", _objective_choices, "Objective", "The rule by which the prompt forms the splats")
    prior: StringProperty(
        name="Prior",
        description="Where it is known how things look: the objects that came with Splatsmith, a kit of your own, or "
        "an image model: a diffusers folder, a .safetensors checkpoint or a hub id",
        default=EMBEDDED,
        search=_priors,
        search_options={"SUGGESTION"},
    )
    lora: StringProperty(
        name="LoRA",
        description="A LoRA file that changes the style of an image model, on the backend's computer; kits take none",
        subtype="FILE_PATH",
    )
    lora_weight: FloatProperty(
        name="Weight", description="How strongly the LoRA works", default=1.0, min=-4, max=4, soft_min=0, soft_max=1
    )
    quality_name: StringProperty(name="Quality", description="The quality's name in a job file", default="normal")
    quality: menu("quality_name", _quality_choices, "Quality", "How long to work on it, and how finely")
    seed: IntProperty(name="Seed", description="The same seed gives the same result again", min=0, max=SEEDS)
    variations: IntProperty(
        name="Variations",
        description="How many results to make, side by side, with one seed after the other",
        default=1,
        min=1,
        max=16,
    )
    particles: IntProperty(
        name="Particles",
        description="How many scenes to optimise together, for objectives that learn on all of them; costs as many "
        "times the time",
        default=1,
        min=1,
        max=16,
    )
    start: EnumProperty(
        name="Start From",
        description="What the splats are before the first step",
        items=STARTS,
    )
    scene: EnumProperty(name="Scene", description="What the objective forms", items=SCENES)
    keep_shape: FloatProperty(
        name="Keep Shape",
        description="How closely to keep the shape of what it starts from: 0 lets it go, 1 changes the colours alone",
        default=0.5,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    more_steps: IntProperty(
        name="More Steps", description="How many steps Continue adds", default=200, min=1, max=100_000
    )
    refine_steps: IntProperty(
        name="Refine Mesh", description="Steps that refine the finished mesh; 0 leaves it as it is", min=0, max=100_000
    )
    auto_import: BoolProperty(
        name="Import When Done", description="Put the result into the scene as soon as it is there", default=True
    )
    show_live: BoolProperty(
        name="Draw Splats in Viewport",
        description="Show splats in their own colours in every shading, while they form and after; otherwise imported "
        "ones show as Blender draws them, grey in Solid",
        default=True,
        update=_draw_switched,
    )
    options: CollectionProperty(
        type=SPLATSMITH_PG_option, name="Options", description="The settings of every objective that was seen"
    )
    kit: PointerProperty(type=SPLATSMITH_PG_kit, name="Kit", description="What the next kit is made of")

    def option(self, name: str) -> SPLATSMITH_PG_option | None:
        """The item of an option of the chosen objective, or of kits ("catalogue.option")."""
        found = self.options.get(name if "." in name else f"{self.objective_name}.{name}")
        return cast(SPLATSMITH_PG_option | None, found)


class SPLATSMITH_PG_job(bpy.types.PropertyGroup):
    """An entry of the list of jobs; `name` is the job's id, everything else is in `addon_state`."""


def settings_of(scene: bpy.types.Scene) -> SPLATSMITH_PG_settings:
    """A scene's settings; the stubs do not know the property that `register` adds."""
    return cast(SPLATSMITH_PG_settings, cast(Any, scene).splatsmith)


def scene_settings(context: bpy.types.Context) -> SPLATSMITH_PG_settings:
    """The settings of the current scene."""
    return settings_of(current_scene(context))


def chosen_objective(settings: SPLATSMITH_PG_settings) -> Objective | None:
    """The chosen objective as the backend describes it."""
    return next((rule for rule in addon_state.objectives if rule.name == settings.objective_name), None)


def take_priors(priors: Priors) -> None:
    """Take what the backend offers now; a chosen prior stays chosen even if its title has changed."""
    titles = {prior.name: prior.title for prior in priors.priors}
    for scene in bpy.data.scenes:
        settings = settings_of(scene)
        before = addon_state.prior(settings.prior)
        if before is not None and titles.get(before.name, before.title) != before.title:
            settings.prior = titles[before.name]
    addon_state.priors = priors


def is_kit(settings: SPLATSMITH_PG_settings) -> bool:
    """Whether the chosen prior is a kit of objects, as far as the backend has said."""
    said = settings.prior.strip() or EMBEDDED
    prior = addon_state.prior(said)
    return prior.kit if prior else said == EMBEDDED


def kit_options(settings: SPLATSMITH_PG_settings) -> tuple[Option, ...]:
    """The settings of the chosen prior if it is a kit, with the defaults of the chosen objective."""
    rule, prior = chosen_objective(settings), addon_state.prior(settings.prior.strip() or EMBEDDED)
    return rule.catalogue if rule and prior and prior.kit else ()


def offered_option(settings: SPLATSMITH_PG_settings, name: str) -> Option | None:
    """An option of the chosen objective, or of kits ("catalogue.option"), as the backend describes it."""
    rule = chosen_objective(settings)
    offered = {option.name: option for option in rule.options} if rule else {}
    return (offered | {f"{KIT_SETTINGS}.{option.name}": option for option in kit_options(settings)}).get(name)


def describe_options(settings: SPLATSMITH_PG_settings) -> None:
    """Have an up-to-date item for each option of the backend's objectives and of kits."""
    offered = {f"{rule.name}.{option.name}": option for rule in addon_state.objectives for option in rule.options}
    offered |= {f"{KIT_SETTINGS}.{option.name}": option for option in kit_options(settings)}
    for name, option in offered.items():
        item = settings.options.get(name)
        if item is None:
            item = settings.options.add()
            item.name = name
        item.describe(option)


def random_seed() -> int:
    """A random seed."""
    return random.randrange(SEEDS)


CLASSES = (SPLATSMITH_PG_option, SPLATSMITH_PG_settings, SPLATSMITH_PG_job)


def register() -> None:
    """Add the settings to scenes and the list of jobs to the window manager."""
    types: Any = bpy.types  # the stubs do not know these properties, and not that these functions return something
    props: Any = bpy.props
    types.Scene.splatsmith = props.PointerProperty(type=SPLATSMITH_PG_settings)
    types.WindowManager.splatsmith_jobs = props.CollectionProperty(type=SPLATSMITH_PG_job)
    types.WindowManager.splatsmith_active = props.IntProperty(name="Job", description="The job that is shown below")


def unregister() -> None:
    """Remove them; the values stay in the file."""
    types: Any = bpy.types
    del types.WindowManager.splatsmith_active, types.WindowManager.splatsmith_jobs, types.Scene.splatsmith
