"""Submit to Flamenco: the prompt and the settings as a job for the farm, where Flamenco's add-on is there.

Flamenco's add-on says where the manager is; everything else goes over the manager's own API.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import bpy

from ..net.flamenco import FarmJob, FlamencoError, Manager
from ..net.state import addon_state
from ..scene.blender_types import current_scene
from ..scene.farm_folder import FarmFolderError, new_folder, remove, write_job
from ..scene.selected_mesh import SceneMeshError, selected_mesh
from .drawing import draw_text, layout_of
from .job_fields import job_fields
from .operators_common import Context, Result, can_press, refuse, warn
from .panels import Sidebar
from .preferences import preferences
from .properties import scene_settings

FLAMENCO = "flamenco"  # the name of its add-on, which it also has as an extension


def flamenco_manager(context: Context) -> Manager | None:
    """The manager that Flamenco's add-on has in its preferences; None where the add-on is not enabled."""
    addons = cast(Any, context.preferences).addons
    for name in addons.keys():  # noqa: SIM118  # Blender's collections yield the add-ons themselves
        if name.rpartition(".")[2] == FLAMENCO and hasattr(addons[name].preferences, "manager_url"):
            return Manager(addons[name].preferences.manager_url)
    return None


class SPLATSMITH_OT_submit_to_flamenco(bpy.types.Operator):
    """Make the prompt on the farm: a task for each variation, and one for the contact sheet of all"""

    bl_idname = "splatsmith.submit_to_flamenco"
    bl_label = "Submit to Flamenco"

    @classmethod
    def poll(cls, context: Context) -> bool:
        settings, manager = scene_settings(context), flamenco_manager(context)
        objects = context.mode not in ("OBJECT", "EDIT_MESH") and settings.start == "SELECTED"
        elsewhere = manager is not None and not manager.loopback and not bpy.app.online_access
        return can_press(
            cls,
            {
                "Enable Flamenco's add-on in the preferences first.": manager is None,
                "Flamenco's manager is on another computer: allow online access in Preferences > System.": elsewhere,
                "Press Start Backend first: it knows which settings there are.": not addon_state.objectives,
                "Write a prompt first: what to make, in a few words.": not settings.prompt.strip(),
                "Go to Object Mode to start from the selected objects.": objects,
                "The farm has no jobs of this list: choose another Start From.": settings.start == "JOB",
            },
        )

    def execute(self, context: Context) -> Result:
        """Ask the manager first; then write the folder, and submit it.  A folder that is refused is removed again."""
        settings, manager = scene_settings(context), flamenco_manager(context)
        assert manager is not None  # as `poll` has seen
        notes: list[str] = []
        addon_state.submitted = ""
        try:
            kind = manager.job_type()
            mesh = selected_mesh(context, notes) if settings.start == "SELECTED" else None
            folder = new_folder(_farm_folder(context, manager), settings.prompt)
            notes += write_job(folder, job_fields(settings, settings.seed), mesh)
            job = _farm_job(context, folder)
            try:
                manager.submit(job, kind)
            except FlamencoError:
                remove(folder)
                raise
        except (FlamencoError, FarmFolderError, SceneMeshError) as error:
            return refuse(self, str(error))
        warn(self, notes)
        seeds = f"{job.variations} seeds from {job.first_seed}" if job.variations > 1 else f"seed {job.first_seed}"
        addon_state.submitted = f"{job.name}, {seeds}: the results will be in {folder}."
        self.report({"INFO"}, addon_state.submitted)
        return {"FINISHED"}


class SPLATSMITH_PT_farm(Sidebar, bpy.types.Panel):
    """The farm, where Flamenco's add-on is there."""

    bl_label = "Farm"
    bl_parent_id = "SPLATSMITH_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        """Hidden from those who have no farm."""
        return flamenco_manager(context) is not None

    def draw(self, context: Context) -> None:
        """Draw it."""
        layout = layout_of(self)
        column = layout.column()
        column.use_property_split = True
        column.prop(preferences(context), "farm_folder", placeholder="The manager's storage")
        layout.operator("splatsmith.submit_to_flamenco", icon="EXPORT")
        if addon_state.submitted:
            draw_text(layout, context, addon_state.submitted, "CHECKMARK")


def _farm_folder(context: Context, manager: Manager) -> Path:
    """The folder that the artist has chosen, else the storage that the manager names."""
    chosen = preferences(context).farm_folder.strip()
    if chosen.startswith("//") and not bpy.data.filepath:
        raise FarmFolderError("The Farm Folder is given as seen from this file: save the file, or choose it anew.")
    return Path(bpy.path.abspath(chosen)) if chosen else manager.storage()


def _farm_job(context: Context, folder: Path) -> FarmJob:
    """What is submitted; priority and tag are those in Flamenco's own panel."""
    scene, settings = current_scene(context), scene_settings(context)
    tag = getattr(scene, "flamenco_worker_tag", "")
    return FarmJob(
        name=settings.prompt.strip(),
        folder=folder,
        first_seed=settings.seed,
        variations=settings.variations,
        priority=getattr(scene, "flamenco_job_priority", 50),
        worker_tag="" if tag == "-" else tag,
    )


CLASSES = (SPLATSMITH_OT_submit_to_flamenco, SPLATSMITH_PT_farm)
