"""The rows of an objective's options and of a kit's settings in the panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import bpy

from ..shared.messages import Option
from .properties import IN_MAIN_PANEL, KIT_SETTINGS, SPLATSMITH_PG_settings, chosen_objective, kit_options

Layout: TypeAlias = bpy.types.UILayout

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon


def draw_options(layout: Layout, settings: SPLATSMITH_PG_settings, important: bool) -> None:
    """The first few options of the objective, or the others."""
    rule = chosen_objective(settings)
    for option in (rule.options[:IN_MAIN_PANEL] if important else rule.options[IN_MAIN_PANEL:]) if rule else ():
        draw_option(layout, settings, option, option.name)


def draw_kit_options(layout: Layout, settings: SPLATSMITH_PG_settings, important: bool) -> None:
    """The settings of the prior if it is a kit: the first one, or the others."""
    options = kit_options(settings)
    for option in options[:1] if important else options[1:]:
        draw_option(layout, settings, option, f"{KIT_SETTINGS}.{option.name}")


def draw_option(layout: Layout, settings: SPLATSMITH_PG_settings, option: Option, name: str) -> None:
    """One option, with a button whose tooltip explains it and which sets it back."""
    item = settings.option(name)
    if item is None:
        return
    row = layout.row(align=True)
    row.prop(item, item.field, text=option.name.replace("_", " ").capitalize())
    icon: Icon = "LOOP_BACK" if item.touched else "QUESTION"
    row.operator("splatsmith.reset_option", text="", icon=icon).name = name
