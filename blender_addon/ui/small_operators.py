"""The small buttons: start and stop the backend, roll the seed, set an option back, copy what went wrong."""

from typing import Any

import bpy
from bpy.props import StringProperty

from ..net.launcher import LauncherError
from ..net.state import addon_state
from ..shared.address import AddressError
from .connect import running, start_backend
from .job_list import active_job
from .operators_common import Context, Result, can_press, refuse
from .properties import offered_option, roll


class SPLATSMITH_OT_start_backend(bpy.types.Operator):
    """Start the backend on this computer"""

    bl_idname = "splatsmith.start_backend"
    bl_label = "Start Backend"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(
            cls, {"A backend answers already.": addon_state.ready, "The backend is there already.": running()}
        )

    def execute(self, context: Context) -> Result:
        try:
            start_backend(context)
        except (LauncherError, AddressError) as error:
            return refuse(self, str(error))
        addon_state.say("")
        return {"FINISHED"}


class SPLATSMITH_OT_stop_backend(bpy.types.Operator):
    """Stop the backend that was started here; running jobs stop with it and can be continued"""

    bl_idname = "splatsmith.stop_backend"
    bl_label = "Stop Backend"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, {"This Blender has not started a backend, so that it does not stop one.": not running()})

    def execute(self, context: Context) -> Result:
        addon_state.backend.stop()
        return {"FINISHED"}


class SPLATSMITH_OT_copy_details(bpy.types.Operator):
    """Copy what went wrong, with its details, to paste it into a report"""

    bl_idname = "splatsmith.copy_details"
    bl_label = "Copy Details"

    def execute(self, context: Context) -> Result:
        row = addon_state.rows.get(active_job(context.window_manager))
        told = [addon_state.notice, addon_state.detail, addon_state.trouble.text, addon_state.trouble.detail]
        told += [row.state.text, *row.state.warnings, row.state.detail] if row else []
        context.window_manager.clipboard = "\n".join([*filter(None, told), *addon_state.log_tail])
        return {"FINISHED"}


class SPLATSMITH_OT_dice(bpy.types.Operator):
    """Roll another seed"""

    bl_idname = "splatsmith.dice"
    bl_label = "Roll the Seed"

    def execute(self, context: Context) -> Result:
        context.scene.splatsmith.seed = roll()
        return {"FINISHED"}


class SPLATSMITH_OT_reset_option(bpy.types.Operator):
    """Set an option of the objective back to the backend's default"""

    bl_idname = "splatsmith.reset_option"
    bl_label = "Back to Default"

    name: StringProperty(name="Setting", description="The setting's name")

    @classmethod
    def description(cls, context: Context, properties: Any) -> str:
        """The tooltip: what the setting does, as the backend tells it."""
        option = offered_option(context.scene.splatsmith, properties.name)
        return f"{option.description}.  Press to go back to the default, {option.default}" if option else ""

    def execute(self, context: Context) -> Result:
        settings = context.scene.splatsmith
        option, item = offered_option(settings, self.name), settings.option(self.name)
        if option is None or item is None:
            return refuse(self, "The backend has no such setting.")
        item.reset(option)
        return {"FINISHED"}


CLASSES = (
    SPLATSMITH_OT_start_backend,
    SPLATSMITH_OT_stop_backend,
    SPLATSMITH_OT_copy_details,
    SPLATSMITH_OT_dice,
    SPLATSMITH_OT_reset_option,
)
