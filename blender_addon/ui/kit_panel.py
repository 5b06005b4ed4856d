"""The panel Make Kit: what the kit is made of, how far it is, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..net.kit_maker import KitMaker
from ..net.state import addon_state
from .drawing import draw_text, layout_of
from .panels import Context, Layout, Sidebar
from .properties import scene_settings

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

LINES = 6  # of a report; the rest can be copied
WORK = {"exporting": "Exporting", "photographing": "Photographing", "stopping": "Stopping after"}
ICONS: dict[str, Icon] = {"done": "CHECKMARK", "stopped": "PAUSE", "failed": "ERROR"}


class SPLATSMITH_PT_kit(Sidebar, bpy.types.Panel):
    """A prior of the artist's own objects."""

    bl_label = "Make Kit"
    bl_parent_id = "SPLATSMITH_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw it."""
        layout, wanted, kit = layout_of(self), scene_settings(context).kit, addon_state.kit
        column = layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(wanted, "title")
        column.prop(wanted, "source")
        if wanted.source == "COLLECTION":
            column.prop(wanted, "collection")
        column.prop(wanted, "own_front")
        column.prop(wanted, "add")
        if kit is None or kit.ended:
            layout.operator("splatsmith.make_kit", icon="OUTLINER_OB_CAMERA")
        else:
            draw_progress(layout, context, kit)
        if kit is not None:
            draw_report(layout, context, kit)
        for note in addon_state.priors.notes:
            draw_text(layout, context, f"A kit is not on offer: {note}", "ERROR")


def draw_progress(layout: Layout, context: Context, kit: KitMaker[Any]) -> None:
    """How far it is, and the button that stops it."""
    if kit.state == "exporting" and context.mode != "OBJECT":
        draw_text(layout, context, "It goes on when you are back in Object Mode.", "TIME")
    row = layout.row(align=True)
    row.progress(factor=kit.done / max(kit.total, 1), text=f"{WORK[kit.state]} {kit.done} of {kit.total}")
    row.operator("splatsmith.cancel_kit", text="", icon="CANCEL")


def draw_report(layout: Layout, context: Context, kit: KitMaker[Any]) -> None:
    """How it ended, and what was left out so far."""
    lines = [*kit.left_out, *kit.notes]
    if not kit.text and not lines:
        return
    box = layout.box()
    if kit.text:
        draw_text(box, context, kit.text, ICONS[kit.state])
    for line in lines[:LINES]:
        draw_text(box, context, line, "DOT")
    if len(lines) > LINES:
        box.label(text=f"and {len(lines) - LINES} more")
    if lines or kit.detail:
        box.operator("splatsmith.copy_kit_report", icon="COPYDOWN")
    if kit.state == "done":
        box.operator("splatsmith.use_kit", icon="CHECKMARK")


CLASSES = (SPLATSMITH_PT_kit,)
