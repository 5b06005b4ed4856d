"""What the buttons for jobs do.  A grey button says why; what is refused is one sentence, in a popup and the panel."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..net.state import Row, addon_state
from ..scene import results
from ..scene.importers.mesh import MeshFileError
from ..scene.placing import find, free_spot, make_place, origin_and_radius, remove_place, result_offsets
from ..scene.selected_mesh import SceneMeshError, bounds, selected_mesh
from ..shared.messages import Cancel, Fetch, Forget, Generate, new_job_id
from ..view.live_view import live_view
from .job_list import active_job, choose_job
from .operators_common import Context, Result, can_press, refuse, unreachable, warn
from .properties import SEEDS, job_fields, roll


class SPLATSMITH_OT_generate(bpy.types.Operator):
    """Make the prompt into splats and a mesh, as many times as there are variations"""

    bl_idname = "splatsmith.generate"
    bl_label = "Generate"
    bl_options = frozenset({"UNDO"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        settings = context.scene.splatsmith
        objects = context.mode not in ("OBJECT", "EDIT_MESH") and settings.start == "SELECTED"
        return can_press(
            cls,
            {
                **unreachable(),
                "Write a prompt first: what to make, in a few words.": not settings.prompt.strip(),
                "Go to Object Mode to start from the selected objects.": objects,
            },
        )

    def execute(self, context: Context) -> Result:
        """A job for each seed, each at a place of its own; a selection that is no mesh is refused first."""
        settings = context.scene.splatsmith
        left_out: list[str] = []
        try:
            mesh = selected_mesh(context, left_out) if settings.start == "SELECTED" else None
        except SceneMeshError as error:
            return refuse(self, str(error))
        warn(self, left_out)
        seeds = [(settings.seed + i) % (SEEDS + 1) for i in range(settings.variations)]
        jobs = [Generate(job=new_job_id(), fields=job_fields(settings, s, mesh is not None), mesh=mesh) for s in seeds]
        origin, radius = bounds(mesh)
        first = origin if mesh else free_spot(context.scene.cursor.location, radius)
        for job, offset in zip(jobs, result_offsets(len(jobs), radius), strict=True):
            # The first of a selection stands in it, whatever stands there.
            spot = free_spot(first + offset, radius) if offset.length else first
            prompt, seed = job.fields["prompt"], job.fields["seed"]
            make_place(context.scene, job.job, prompt, seed, spot - origin, origin, radius)
            addon_state.generate(job)
        choose_job(context.window_manager, jobs[0].job)
        return {"FINISHED"}


class JobOperator:
    """What the buttons below the list have in common: `job` is an id, or nothing for the chosen one."""

    job: StringProperty(name="Job", description="The id of the job; nothing for the one chosen in the list")

    @classmethod
    def row(cls, context: Context) -> Row | None:
        """The chosen job."""
        return addon_state.rows.get(active_job(context.window_manager))

    def id(self, context: Context) -> str:
        """The job that is meant."""
        return self.job or active_job(context.window_manager)

    @classmethod
    def poll(cls, context: Context) -> bool:
        """Whether the button can be pressed for the chosen job."""
        row = cls.row(context)
        no_row = {"Choose a job in the list first.": row is None}
        return can_press(cls, {**unreachable(), **no_row, **(cls.reasons_against(row) if row else {})})

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        """Reasons against, besides those of every request."""
        raise NotImplementedError


class SPLATSMITH_OT_cancel(JobOperator, bpy.types.Operator):
    """Stop the job; what it has made so far is kept, and it can be continued"""

    bl_idname = "splatsmith.cancel"
    bl_label = "Cancel"

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {"This job has ended.": row.ended}

    def execute(self, context: Context) -> Result:
        addon_state.client.send(Cancel(job=self.id(context)))
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
        addon_state.continue_job(self.id(context), context.scene.splatsmith.more_steps)
        return {"FINISHED"}


class SPLATSMITH_OT_run_again(JobOperator, bpy.types.Operator):
    """Make the same once more with another seed, beside it"""

    bl_idname = "splatsmith.run_again"
    bl_label = "Run Again with Another Seed"
    bl_options = frozenset({"UNDO"})

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {}

    def execute(self, context: Context) -> Result:
        """The job as it was asked for, whatever the panel says now."""
        addon_state.say("")
        job, seed = self.id(context), roll()
        again, state = Generate(job=new_job_id(), fields={"seed": seed}, like=job), addon_state.rows[job].state
        origin, radius = origin_and_radius(job, state.to_scene)
        place = find(job, "place")
        beside = place.matrix_world.translation.copy() if place else context.scene.cursor.location + origin
        offset = free_spot(beside, radius) - origin
        make_place(context.scene, again.job, state.prompt, seed, offset, origin, radius)
        addon_state.generate(again)
        choose_job(context.window_manager, again.job)
        return {"FINISHED"}


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
        addon_state.client.send(Fetch(job=job))
        return {"FINISHED"}


class SPLATSMITH_OT_place_result(JobOperator, bpy.types.Operator):
    """Put the results that have come into the scene"""

    bl_idname = "splatsmith.place_result"
    bl_label = "Import Result"
    bl_options = frozenset({"UNDO", "INTERNAL"})  # the one undo step of an import

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, {"The result waits until you are back in Object Mode.": context.mode != "OBJECT"})

    def execute(self, context: Context) -> Result:
        """Put what has come under the job's place, and let the live view draw it."""
        job = self.id(context)
        delivery, row = addon_state.deliveries.pop(job, None), addon_state.rows.get(job)
        if delivery is None or delivery.splats is None or row is None:
            return refuse(self, "The backend has sent no result for this job: press Import once more.")
        version = addon_state.welcome.version if addon_state.welcome else ""
        earlier = find(job, "mesh") is not None
        try:
            results.place_result(context.scene, delivery, row.state, version)
        except results.ResultError as error:
            return refuse(self, str(error))
        except MeshFileError as error:  # no refusal: what was placed is a step to undo
            addon_state.say(f"The splats are placed, without their mesh. {error}")
            self.report({"WARNING"}, addon_state.notice)
        if earlier and find(job, "mesh") is None:
            addon_state.say("This result has no mesh. That of the earlier result is kept, hidden, as “… (earlier)”.")
            self.report({"WARNING"}, addon_state.notice)
        results.hide_cubes(live_view.draws and context.scene.splatsmith.show_live)
        live_view.show(job, results.cloud_of(delivery.splats), delivery.splats.to_scene, live=False)
        return {"FINISHED"}


class SPLATSMITH_OT_forget(JobOperator, bpy.types.Operator):
    """Delete the job with its files from the backend; what was imported stays in the scene"""

    bl_idname = "splatsmith.forget"
    bl_label = "Forget"
    bl_options = frozenset({"UNDO"})

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {"Cancel the job first: it has not ended yet.": not row.ended}

    def invoke(self, context: Context, event: bpy.types.Event) -> Result:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Context) -> Result:
        job = self.id(context)
        addon_state.client.send(Forget(job=job))
        addon_state.forget(job)
        if find(job, "splats") is None:
            live_view.hide(job)
        remove_place(job)
        return {"FINISHED"}


class SPLATSMITH_OT_show_result(JobOperator, bpy.types.Operator):
    """Show the splats or the mesh, in the viewport and in renders; they stand in the same place"""

    bl_idname = "splatsmith.show_result"
    bl_label = "Show"
    bl_options = frozenset({"UNDO"})

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
    SPLATSMITH_OT_generate,
    SPLATSMITH_OT_cancel,
    SPLATSMITH_OT_continue_job,
    SPLATSMITH_OT_run_again,
    SPLATSMITH_OT_import_result,
    SPLATSMITH_OT_place_result,
    SPLATSMITH_OT_forget,
    SPLATSMITH_OT_show_result,
)
