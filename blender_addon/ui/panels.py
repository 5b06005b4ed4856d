"""The sidebar "Splatsmith" of the 3D view.  Drawing reads `addon_state` and the settings, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import bpy

from ..net.rows import Row
from ..net.state import addon_state
from ..scene import results
from ..scene.placing import find_object
from .drawing import draw_text, duration, layout_of, pictures
from .job_fields import takes_particles
from .job_list import active_job
from .notices import draw_connection, draw_notice, draw_trouble
from .option_rows import draw_kit_options, draw_options
from .properties import (
    SPLATSMITH_PG_job,
    is_kit,
    scene_settings,
)
from .starts import WITH_SHAPE

Context: TypeAlias = bpy.types.Context
Layout: TypeAlias = bpy.types.UILayout

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

STATES: dict[str, tuple[str, Icon]] = {
    "queued": ("Waiting", "TIME"),
    "running": ("Running", "PLAY"),
    "finishing": ("Finishing", "SORTTIME"),
    "done": ("Done", "CHECKMARK"),
    "stopped": ("Stopped", "PAUSE"),
    "failed": ("Failed", "ERROR"),
}
LOG_LINES = 6
CREDITS = 5


class Sidebar:
    """The place of all panels."""

    bl_space_type: Any = "VIEW_3D"  # Any, because the names of its type are in the stubs alone
    bl_region_type: Any = "UI"
    bl_category = "Splatsmith"


class SPLATSMITH_PT_main(Sidebar, bpy.types.Panel):
    """What to make, and the button that makes it."""

    bl_label = "Splatsmith"

    def draw(self, context: Context) -> None:
        """Draw it."""
        layout, settings = layout_of(self), scene_settings(context)
        if not addon_state.ready:
            draw_connection(layout, context)
        draw_trouble(layout, context)
        layout.prop(settings, "prompt", text="", placeholder="What to make")
        column = layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(settings, "prior")
        draw_kit_options(column, settings, important=True)
        column.prop(settings, "objective")
        draw_options(column, settings, important=True)
        column.prop(settings, "quality")
        row = column.row(align=True)
        row.prop(settings, "seed")
        row.operator("splatsmith.dice", text="", icon="FILE_REFRESH")
        column.prop(settings, "variations")
        if takes_particles(settings):
            column.prop(settings, "particles")
        column.prop(settings, "start")
        if settings.start in WITH_SHAPE:
            column.prop(settings, "keep_shape")
        button = layout.row()
        button.scale_y = 1.6
        button.operator("splatsmith.generate", icon="SHADERFX")
        if addon_state.notice:
            draw_notice(layout, context)


class SPLATSMITH_PT_more(Sidebar, bpy.types.Panel):
    """What is rarely changed."""

    bl_label = "More Settings"
    bl_parent_id = "SPLATSMITH_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw it."""
        settings, column = scene_settings(context), layout_of(self).column()
        column.use_property_split, column.use_property_decorate = True, False
        for name in ("negative_prompt", "scene", "refine_steps", "more_steps", "auto_import", "show_live"):
            column.prop(settings, name)
        if not is_kit(settings):
            column.prop(settings, "lora")
            if settings.lora.strip():
                column.prop(settings, "lora_weight")
        draw_kit_options(column, settings, important=False)
        draw_options(column, settings, important=False)


class SPLATSMITH_PT_jobs(Sidebar, bpy.types.Panel):
    """The list of jobs, and what can be done with the chosen one."""

    bl_label = "Jobs"

    def draw(self, context: Context) -> None:
        """Draw it."""
        manager, layout = context.window_manager, layout_of(self)
        layout.template_list("SPLATSMITH_UL_jobs", "", manager, "splatsmith_jobs", manager, "splatsmith_active", rows=4)
        row = addon_state.rows.get(active_job(manager))
        if row is None:
            draw_text(layout, context, "Jobs appear here: write a prompt and press Generate.")
            return
        draw_job(layout, context, row)
        buttons = layout.grid_flow(row_major=True, columns=2, align=True, even_columns=True)
        again = find_object(row.state.job, "splats") is not None
        buttons.operator("splatsmith.cancel", icon="CANCEL")
        buttons.operator("splatsmith.continue_job", icon="FRAME_NEXT")
        buttons.operator("splatsmith.import_result", text="Import Again" if again else "Import", icon="IMPORT")
        buttons.operator("splatsmith.forget", icon="TRASH")
        layout.operator("splatsmith.refine_mesh", icon="MOD_SMOOTH")
        layout.operator("splatsmith.run_again", icon="FILE_REFRESH")


class SPLATSMITH_PT_backend(Sidebar, bpy.types.Panel):
    """The backend: its state, start and stop, and its log."""

    bl_label = "Backend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw it."""
        layout = layout_of(self)
        draw_connection(layout, context)
        if addon_state.ready and addon_state.welcome:
            layout.label(text=f"Version {addon_state.welcome.version} on {', '.join(addon_state.welcome.devices)}")
        layout.operator("splatsmith.free_memory", icon="MEMORY")
        layout.operator("splatsmith.stop_backend", icon="QUIT")
        if addon_state.log_tail:
            box = layout.box().column(align=True)
            for line in addon_state.log_tail[-LOG_LINES:]:
                box.label(text=line[:120])
            layout.operator("splatsmith.copy_details", icon="COPYDOWN")


class SPLATSMITH_UL_jobs(bpy.types.UIList):
    """One line for each job: its picture, its prompt and how far it is."""

    def draw_item(  # type: ignore[override]  # Blender passes as many arguments as there are parameters
        self,
        _context: Context,
        layout: Layout,
        _manager: bpy.types.WindowManager,
        item: SPLATSMITH_PG_job,
        _icon: int,
        _active_data: bpy.types.WindowManager,
        _active_property: str,
    ) -> None:
        """Draw one."""
        row = addon_state.rows.get(item.name)
        if row is None:
            return
        title, icon = STATES[row.state.state]
        line = layout.split(factor=0.55, align=True)
        picture = pictures().icon(item.name)
        name = f"{row.state.prompt} · {row.state.seed}"
        name += f" · particle {row.state.particle}" if row.state.part_of else ""
        line.label(text=name, icon_value=picture) if picture else line.label(text=name, icon=icon)
        if row.taking_steps:
            line.progress(factor=row.share, text=duration(row.seconds_left))
        else:
            line.label(text=title, icon=icon)


def draw_job(layout: Layout, context: Context, row: Row) -> None:
    """The chosen job: its picture, how far it is, its warnings and its credits."""
    state = row.state
    picture = pictures().icon(state.job)
    if picture:
        layout.template_icon(picture, scale=10)
    title, icon = STATES[state.state]
    line = layout.row()
    line.label(text=title, icon=icon)
    if state.of:
        step, of = row.reached
        part = f"stage {row.part}, " if row.part else ""
        line.label(text=f"{part if row.stage == 'run' else row.stage + ' '}step {step} of {of}")
    if row.taking_steps:
        layout.progress(factor=row.share, text=f"{duration(row.seconds_left)} left")
    if state.text:
        draw_text(layout, context, state.text, "ERROR" if state.state == "failed" else "INFO")
    for warning in state.warnings:
        draw_text(layout, context, warning, "INFO")
    if state.detail or state.has_detail:
        layout.operator("splatsmith.copy_details", icon="COPYDOWN")
    draw_credits(layout, context, state.credits)
    if state.job in addon_state.deliveries:
        draw_text(layout, context, "The result is on its way; it is placed in Object Mode.", "IMPORT")
    shown = results.shown_role(state.job)
    if shown:
        switch = layout.row(align=True)
        for what in ("splats", "mesh"):
            button = switch.operator("splatsmith.show_result", text=what.capitalize(), depress=shown == what)
            button.job, button.what = state.job, what


def draw_credits(layout: Layout, context: Context, credits: tuple[str, ...]) -> None:
    """Who made the objects that a result consists of."""
    if not credits:
        return
    box = layout.box().column(align=True)
    made = not credits[0].startswith("Started from")
    box.label(text="Made of parts of" if made else "Made with", icon="COMMUNITY")
    for line in credits[:CREDITS]:
        draw_text(box, context, line, "DOT")
    if len(credits) > CREDITS:
        box.label(text=f"and {len(credits) - CREDITS} more, in the result's custom properties")


CLASSES = (
    SPLATSMITH_UL_jobs,
    SPLATSMITH_PT_main,
    SPLATSMITH_PT_more,
    SPLATSMITH_PT_jobs,
    SPLATSMITH_PT_backend,
)
