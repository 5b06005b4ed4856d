"""The buttons that ask for new jobs: Generate, and Run Again with another seed."""

import bpy

from ..net.rows import Row
from ..net.state import addon_state
from ..scene.blender_types import current_scene
from ..scene.placing import find_object, free_spot, make_place, origin_and_radius, result_offsets
from ..scene.selected_mesh import SceneMeshError, bounds, selected_mesh
from ..shared.messages import Generate, new_job_id
from .job_fields import job_fields
from .job_list import active_job, choose_job
from .operators_common import Context, JobOperator, Result, can_press, refuse, unreachable, warn
from .properties import SEEDS, random_seed, scene_settings


class SPLATSMITH_OT_generate(bpy.types.Operator):
    """Make the prompt into splats and a mesh, as many times as there are variations"""

    bl_idname = "splatsmith.generate"
    bl_label = "Generate"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        settings = scene_settings(context)
        objects = context.mode not in ("OBJECT", "EDIT_MESH") and settings.start == "SELECTED"
        chosen = addon_state.rows.get(active_job(context.window_manager))
        no_splats = settings.start == "JOB" and not (chosen and chosen.state.has_splats)
        return can_press(
            cls,
            {
                **unreachable(),
                "Write a prompt first: what to make, in a few words.": not settings.prompt.strip(),
                "Go to Object Mode to start from the selected objects.": objects,
                "To start from a job, choose one in the list that has made splats.": no_splats,
            },
        )

    def execute(self, context: Context) -> Result:
        """Ask for one job for each seed, each with its own place; a selection without a mesh is refused first."""
        scene, settings = current_scene(context), scene_settings(context)
        left_out: list[str] = []
        try:
            mesh = selected_mesh(context, left_out) if settings.start == "SELECTED" else None
        except SceneMeshError as error:
            return refuse(self, str(error))
        warn(self, left_out)
        seeds = [(settings.seed + i) % (SEEDS + 1) for i in range(settings.variations)]
        source = active_job(context.window_manager) if settings.start == "JOB" else None
        jobs = [Generate(job=new_job_id(), fields=job_fields(settings, s), mesh=mesh, start_from=source) for s in seeds]
        origin, radius = origin_and_radius(source, addon_state.rows[source].state.to_scene) if source else bounds(mesh)
        first = origin if mesh else free_spot(scene.cursor.location, radius)
        for job, offset in zip(jobs, result_offsets(len(jobs), radius), strict=True):
            # The first result stands where the selection stands, whatever else is there.
            spot = free_spot(first + offset, radius) if offset.length else first
            prompt, seed = job.fields["prompt"], job.fields["seed"]
            make_place(scene, job.job, prompt, seed, spot - origin, origin, radius)
            addon_state.generate(job)
        choose_job(context.window_manager, jobs[0].job)
        return {"FINISHED"}


class SPLATSMITH_OT_run_again(JobOperator, bpy.types.Operator):
    """Make the same once more with another seed, beside it"""

    bl_idname = "splatsmith.run_again"
    bl_label = "Run Again with Another Seed"
    bl_options = {"UNDO"}

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        return {}

    def execute(self, context: Context) -> Result:
        """Ask for the job as it was, whatever the panel says now."""
        addon_state.say("")
        scene, job, seed = current_scene(context), self.id(context), random_seed()
        again, state = Generate(job=new_job_id(), fields={"seed": seed}, like=job), addon_state.rows[job].state
        origin, radius = origin_and_radius(job, state.to_scene)
        place = find_object(job, "place")
        beside = place.matrix_world.translation.copy() if place else scene.cursor.location + origin
        offset = free_spot(beside, radius) - origin
        make_place(scene, again.job, state.prompt, seed, offset, origin, radius)
        addon_state.generate(again)
        choose_job(context.window_manager, again.job)
        return {"FINISHED"}


CLASSES = (
    SPLATSMITH_OT_generate,
    SPLATSMITH_OT_run_again,
)
