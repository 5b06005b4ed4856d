"""What the panels need for drawing: pictures, long sentences, durations."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, TypeAlias, cast

import bpy

from .pictures import JobIcons

Context: TypeAlias = bpy.types.Context
Layout: TypeAlias = bpy.types.UILayout

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

_pictures: list[JobIcons] = []  # one while the add-on is registered, else none


def pictures() -> JobIcons:
    """The pictures of the jobs."""
    if not _pictures:
        _pictures.append(JobIcons())
    return _pictures[0]


def duration(seconds: float) -> str:
    """Seconds as an artist reads them."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def layout_of(owner: bpy.types.Panel | bpy.types.AddonPreferences) -> Layout:
    """Where to draw; Blender sets it before it calls `draw`."""
    return cast(Layout, owner.layout)


def draw_text(layout: Layout, context: Context, text: str, icon: Icon = "NONE") -> None:
    """Draw a text in as many lines as the region's width needs; Blender would cut off a single label."""
    width = context.region.width if context.region else 260
    preferences = cast(bpy.types.Preferences, context.preferences)
    scale = preferences.system.ui_scale or 1.0  # 0 without a window
    longest = max(int(width / (7.5 * scale)) - 6, 16)
    column = layout.column(align=True)
    for number, line in enumerate(textwrap.wrap(text, longest, break_on_hyphens=False)):
        column.label(text=line, icon=icon if number == 0 else ("NONE" if icon == "NONE" else "BLANK1"))


def close_pictures() -> None:
    """Give the pictures back to Blender."""
    while _pictures:
        _pictures.pop().close()
