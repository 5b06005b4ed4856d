"""The buttons for the backend: start it, stop it, copy what went wrong."""

import bpy

from ..net.launcher import LauncherError
from ..net.state import addon_state
from ..scene.blender_types import window_manager
from ..shared.address import AddressError
from ..shared.messages import FreeMemory
from .connect import backend_is_running, start_backend
from .job_list import active_job
from .operators_common import Context, Result, can_press, refuse


class SPLATSMITH_OT_start_backend(bpy.types.Operator):
    """Start the backend on this computer"""

    bl_idname = "splatsmith.start_backend"
    bl_label = "Start Backend"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(
            cls,
            {
                "A backend answers already.": addon_state.ready,
                "The backend is running already.": backend_is_running(),
            },
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
        return can_press(cls, {"Only a backend that this Blender started can be stopped.": not backend_is_running()})

    def execute(self, context: Context) -> Result:
        assert addon_state.backend is not None  # `poll` has asked
        addon_state.backend.stop()
        return {"FINISHED"}


class SPLATSMITH_OT_free_memory(bpy.types.Operator):
    """Give the memory of the backend's models back to the graphics card, for Cycles say; the next job loads its own"""

    bl_idname = "splatsmith.free_memory"
    bl_label = "Free GPU Memory"

    @classmethod
    def poll(cls, context: Context) -> bool:
        running = any(row.state.state in ("running", "finishing") for row in addon_state.rows.values())
        return can_press(
            cls,
            {
                "No backend answers.": not addon_state.ready,
                "A job is running and needs the memory: cancel it, or wait until it ends.": running,
            },
        )

    def execute(self, context: Context) -> Result:
        addon_state.send(FreeMemory())
        addon_state.say("")
        return {"FINISHED"}


class SPLATSMITH_OT_copy_details(bpy.types.Operator):
    """Copy what went wrong, with its details, to paste it into a report"""

    bl_idname = "splatsmith.copy_details"
    bl_label = "Copy Details"

    def execute(self, context: Context) -> Result:
        if addon_state.fetch_detail(active_job(context.window_manager)):
            self.report({"INFO"}, "The backend is asked for the details; they are copied when they come.")
        copy_details(context)
        return {"FINISHED"}


def copy_details(context: Context) -> None:
    """Put what is known of the last trouble and of the chosen job into the clipboard."""
    row = addon_state.rows.get(active_job(context.window_manager))
    lines = [addon_state.notice, addon_state.detail, addon_state.trouble.text, addon_state.trouble.detail]
    lines += [row.state.text, *row.state.warnings, row.state.detail] if row else []
    window_manager(context).clipboard = "\n".join([*filter(None, lines), *addon_state.log_tail])


CLASSES = (
    SPLATSMITH_OT_start_backend,
    SPLATSMITH_OT_stop_backend,
    SPLATSMITH_OT_free_memory,
    SPLATSMITH_OT_copy_details,
)
