"""The buttons for the job that is chosen in the list: cancel it, continue it, refine its mesh, delete it."""

import bpy
from bpy.props import IntProperty

from ..net.rows import Row
from ..net.state import addon_state
from ..scene.blender_types import window_manager
from ..scene.placing import find_object, remove_place
from ..shared.messages import Cancel, Forget
from ..view.live_view import live_view
from .operators_common import Context, JobOperator, Result
from .properties import scene_settings


class SPLATSMITH_OT_cancel(JobOperator, bpy.types.Operator):
    """Stop the job; what it has made so far is kept, and it can be continued"""

    bl_idname = "splatsmith.cancel"
    bl_label = "Cancel"

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {"This job has ended.": row.ended}

    def execute(self, context: Context) -> Result:
        addon_state.send(Cancel(job=self.id(context)))
        return {"FINISHED"}


class SPLATSMITH_OT_continue_job(JobOperator, bpy.types.Operator):
    """Go on with the job for as many steps as More Steps says"""

    bl_idname = "splatsmith.continue_job"
    bl_label = "Continue"

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {"This job has not ended yet.": not row.ended}

    def execute(self, context: Context) -> Result:
        addon_state.say("")
        addon_state.continue_job(self.id(context), scene_settings(context).more_steps)
        return {"FINISHED"}


class SPLATSMITH_OT_refine_mesh(JobOperator, bpy.types.Operator):
    """Let the objective refine the vertices and colours of the finished mesh; import the result again afterwards"""

    bl_idname = "splatsmith.refine_mesh"
    bl_label = "Refine Mesh"

    steps: IntProperty(
        name="Steps",
        description="Of the objective; the mesh as it was before comes back with 0",
        default=100,
        min=0,
        max=100_000,
    )

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {
            "This job has not ended yet.": not row.ended,
            "This job has no splats yet.": not row.state.has_splats,
            "This is a particle: refine the mesh of its job.": row.state.part_of is not None,
        }

    def invoke(self, context: Context, event: bpy.types.Event) -> Result:
        self.job = self.id(context)
        answer: Result = window_manager(context).invoke_props_dialog(self)
        return answer

    def execute(self, context: Context) -> Result:
        addon_state.say("")
        addon_state.refine_mesh(self.id(context), self.steps)
        return {"FINISHED"}


class SPLATSMITH_OT_forget(JobOperator, bpy.types.Operator):
    """Delete the job with its files from the backend; what was imported stays in the scene"""

    bl_idname = "splatsmith.forget"
    bl_label = "Forget"
    bl_options = {"UNDO"}

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {"Cancel the job first: it has not ended yet.": not row.ended}

    def invoke(self, context: Context, event: bpy.types.Event) -> Result:
        self.job = self.id(context)  # another may be chosen while it asks
        answer: Result = window_manager(context).invoke_confirm(self, event)
        return answer

    def execute(self, context: Context) -> Result:
        job = self.id(context)
        addon_state.send(Forget(job=job))
        drop(job)
        return {"FINISHED"}


def drop(job: str) -> None:
    """Take a job out of the list, the viewport and, where nothing of it was imported, the scene."""
    addon_state.forget(job)
    if find_object(job, "splats") is None:
        live_view.hide(job)
    remove_place(job)


CLASSES = (
    SPLATSMITH_OT_cancel,
    SPLATSMITH_OT_continue_job,
    SPLATSMITH_OT_refine_mesh,
    SPLATSMITH_OT_forget,
)
