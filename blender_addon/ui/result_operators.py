"""The buttons for a job's results: fetch them, put them into the scene, show the splats or the mesh."""

import bpy
from bpy.props import EnumProperty

from ..net.rows import Row
from ..net.state import addon_state
from ..scene import results
from ..scene.blender_types import current_scene
from ..scene.importers.mesh import MeshFileError
from ..scene.placing import find_object, place_beside
from ..shared.messages import Fetch
from ..view.live_view import live_view
from .job_list import active_job
from .operators_common import Context, JobOperator, Result, can_press, refuse
from .properties import scene_settings


class SPLATSMITH_OT_import_result(JobOperator, bpy.types.Operator):
    """Fetch the job's splats and mesh and put them into the scene, or bring those that are there up to date"""

    bl_idname = "splatsmith.import_result"
    bl_label = "Import"

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        nothing = row.ended and not row.state.has_splats
        return {"This job has not ended yet.": not row.ended, "This job ended before it had a result.": nothing}

    def execute(self, context: Context) -> Result:
        addon_state.say("")
        job = self.id(context)
        addon_state.expect_results(job)
        addon_state.send(Fetch(job=job))
        return {"FINISHED"}


class SPLATSMITH_OT_place_result(JobOperator, bpy.types.Operator):
    """Put the results that have come into the scene"""

    bl_idname = "splatsmith.place_result"
    bl_label = "Import Result"
    bl_options = {"UNDO", "INTERNAL"}  # the one undo step of an import

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, {"The result waits until you are back in Object Mode.": context.mode != "OBJECT"})

    def execute(self, context: Context) -> Result:
        """Put the received results under the job's place, and have the live view draw the splats."""
        job = self.id(context)
        delivery, row = addon_state.deliveries.pop(job, None), addon_state.rows.get(job)
        if delivery is None or delivery.splats is None or row is None:
            return refuse(self, "The backend has sent no result for this job: press Import once more.")
        version = addon_state.welcome.version if addon_state.welcome else ""
        earlier = find_object(job, "mesh") is not None
        place_beside(current_scene(context), row.state)
        try:
            results.place_result(current_scene(context), delivery, row.state, version)
        except results.ResultError as error:
            return refuse(self, str(error))
        except MeshFileError as error:  # not a refusal: the splats are placed, and that can be undone
            addon_state.say(f"The splats are placed, without their mesh. {error}")
            self.report({"WARNING"}, addon_state.notice)
        if earlier and find_object(job, "mesh") is None:
            addon_state.say("This result has no mesh. That of the earlier result is kept, hidden, as “… (earlier)”.")
            self.report({"WARNING"}, addon_state.notice)
        results.hide_cubes(live_view.draws and scene_settings(context).show_live)
        live_view.show(job, results.cloud_of(delivery.splats), delivery.splats.to_scene, live=False)
        return {"FINISHED"}


class SPLATSMITH_OT_show_result(JobOperator, bpy.types.Operator):
    """Show the splats or the mesh, in the viewport and in renders; they stand in the same place"""

    bl_idname = "splatsmith.show_result"
    bl_label = "Show"
    bl_options = {"UNDO"}

    what: EnumProperty(
        name="Show",
        description="Which of the two to show",
        items=(("splats", "Splats", "Show the splats"), ("mesh", "Mesh", "Show the textured mesh")),
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        missing = results.shown_role(active_job(context.window_manager)) is None
        return can_press(cls, {"Import a result with a mesh first.": missing})

    def execute(self, context: Context) -> Result:
        results.show_only(self.id(context), self.what)
        return {"FINISHED"}


CLASSES = (
    SPLATSMITH_OT_import_result,
    SPLATSMITH_OT_place_result,
    SPLATSMITH_OT_show_result,
)
