"""The buttons of Make Kit: begin, stop, use the kit, copy the report."""

import zlib
from pathlib import Path

import bpy

from ..net.kit_maker import KitMaker, KitRequest
from ..net.launcher import LauncherError, backend_python
from ..net.state import EMBEDDED, addon_state
from ..scene.blender_types import window_manager
from ..scene.kit_sources import export_source, exporter_is_on
from .operators_common import Context, Result, can_press, refuse, unreachable
from .preferences import backend_is_remote, preferences, user_folder
from .properties import scene_settings

GLTF_OFF = "Blender's glTF add-on is off: switch on glTF 2.0 format in Preferences > Add-ons."
ELSEWHERE = "The backend is on another computer: make the kit there, with `python -m backend kit`."
NO_SOURCES = {
    "SELECTED": "Select objects with faces first.",
    "COLLECTION": "Choose a collection with objects that have faces.",
    "ASSETS": "Nothing in this file is marked as an asset: use Object > Asset > Mark as Asset first.",
}


class SPLATSMITH_OT_make_kit(bpy.types.Operator):
    """Photograph your own objects from all sides, so that the prompt makes new ones of their kind"""

    bl_idname = "splatsmith.make_kit"
    bl_label = "Make Kit"

    @classmethod
    def poll(cls, context: Context) -> bool:
        """Whether it can be pressed; the first reason against it is the button's tooltip."""
        kit, name = addon_state.kit, scene_settings(context).kit.title.strip()
        return can_press(
            cls,
            {
                ELSEWHERE: backend_is_remote(context),
                **unreachable(),
                "A kit is being made: wait, or cancel it.": kit is not None and not kit.ended,
                "Give the kit a name first.": not name,
                f"{name} is the name of the kit that ships: choose another one.": name.lower() == EMBEDDED,
                "Go to Object Mode to make a kit.": context.mode != "OBJECT",
                GLTF_OFF: not exporter_is_on(),
            },
        )

    def execute(self, context: Context) -> Result:
        """Begin; the timer does the rest."""
        wanted, chosen = scene_settings(context).kit, preferences(context)
        sources = wanted.sources(context)
        if not sources:
            return refuse(self, NO_SOURCES[wanted.source])
        if addon_state.welcome is None:  # it has answered since the timer's last tick
            return refuse(self, "The backend has only just answered: press Make Kit once more.")
        kits, repository = Path(addon_state.welcome.kits), Path(bpy.path.abspath(chosen.backend_folder))
        if not addon_state.welcome.kits or not kits.is_dir():
            return refuse(self, f"The backend keeps its kits in {kits}, which is not on this computer: make it there.")
        try:
            if not chosen.backend_folder or backend_python(repository) is None:
                return refuse(self, "Choose the Backend Folder in the add-on's preferences, and start it there once.")
        except LauncherError as error:
            return refuse(self, str(error))
        addon_state.say("")
        name, own_front = wanted.title.strip(), wanted.own_front
        # The same objects of the same file get the same paths, by which the kit recognises them.
        parts = user_folder() / "kits" / str(zlib.crc32(f"{kits} {name} {bpy.data.filepath}".encode()))
        request = KitRequest(name, kits, repository, parts, wanted.add)
        addon_state.kit = KitMaker(request, sources, lambda source, file: export_source(source, file, own_front))
        return {"FINISHED"}


class SPLATSMITH_OT_cancel_kit(bpy.types.Operator):
    """Stop making the kit after the object under way; making the same kit again goes on from there"""

    bl_idname = "splatsmith.cancel_kit"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Context) -> bool:
        stopping = addon_state.kit is not None and addon_state.kit.state == "stopping"
        none = addon_state.kit is None or addon_state.kit.ended
        return can_press(cls, {"No kit is being made.": none, "It stops after the object under way.": stopping})

    def execute(self, context: Context) -> Result:
        assert addon_state.kit is not None  # `poll` has asked
        addon_state.kit.cancel()
        return {"FINISHED"}


class SPLATSMITH_OT_use_kit(bpy.types.Operator):
    """Choose the kit that was made last as the prior"""

    bl_idname = "splatsmith.use_kit"
    bl_label = "Use as Prior"

    @classmethod
    def poll(cls, context: Context) -> bool:
        none = addon_state.kit is None or addon_state.kit.state != "done"
        return can_press(
            cls, {"Make a kit first.": none, "The backend has not found it yet.": none or made_kit_title() is None}
        )

    def execute(self, context: Context) -> Result:
        scene_settings(context).prior = made_kit_title()
        return {"FINISHED"}


class SPLATSMITH_OT_copy_kit_report(bpy.types.Operator):
    """Copy the whole report on the kit: what was left out, and why"""

    bl_idname = "splatsmith.copy_kit_report"
    bl_label = "Copy Report"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, {"No kit was made yet.": addon_state.kit is None})

    def execute(self, context: Context) -> Result:
        assert addon_state.kit is not None  # `poll` has asked
        window_manager(context).clipboard = addon_state.kit.report()
        return {"FINISHED"}


def made_kit_title() -> str | None:
    """The title of the kit that was made last; None until the backend offers it."""
    prior = addon_state.prior(addon_state.kit.folder) if addon_state.kit is not None else None
    return prior.title if prior is not None else None


CLASSES = (
    SPLATSMITH_OT_make_kit,
    SPLATSMITH_OT_cancel_kit,
    SPLATSMITH_OT_use_kit,
    SPLATSMITH_OT_copy_kit_report,
)
