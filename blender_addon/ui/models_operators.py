"""The buttons for models in the preferences: list, download, cancel, use, add and remove a folder.

No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import bpy
from bpy.props import StringProperty

from ..net.launcher import LauncherError
from ..net.model_manager import ModelManager
from ..net.state import addon_state
from .models_list import ELSEWHERE, chosen_name, row_named
from .operators_common import Context, Result, can_press, refuse
from .preferences import backend_is_remote, preferences, user_folder
from .properties import scene_settings

OFFLINE = "Blender works offline: allow online access in Preferences > System first."
BUSY = "Models are being listed or downloaded: wait, or cancel it."


def manager() -> ModelManager:
    """The models, made at the first use."""
    if addon_state.models is None:
        addon_state.models = ModelManager(user_folder() / "models")
    return addon_state.models


def reasons(context: Context) -> dict[str, bool]:
    """The reasons against every button that starts a process."""
    models = addon_state.models
    return {ELSEWHERE: backend_is_remote(context), BUSY: models is not None and models.busy}


def start(operator: bpy.types.Operator, context: Context, begin: Callable[[ModelManager, Path], None]) -> Result:
    """Start a process of the Backend Folder, or say why that is impossible."""
    models, folder = manager(), preferences(context).backend_folder
    try:
        if not folder:
            raise LauncherError("Choose the Backend Folder in the add-on's preferences first.")
        begin(models, Path(bpy.path.abspath(folder)))
    except LauncherError as error:
        models.text, models.failed = str(error), True  # below the list, too
        return refuse(operator, str(error))
    return {"FINISHED"}


class SPLATSMITH_OT_list_models(bpy.types.Operator):
    """Look for models again: in the hub's cache, in your folders, in those of ComfyUI, A1111 and Forge"""

    bl_idname = "splatsmith.list_models"
    bl_label = "List Models"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, reasons(context))

    def execute(self, context: Context) -> Result:
        return start(self, context, lambda models, repository: models.look(repository))


class SPLATSMITH_OT_download_model(bpy.types.Operator):
    """Download the model from the hub, or the rest of it; Blender stays free meanwhile"""

    bl_idname = "splatsmith.download_model"
    bl_label = "Download"

    model: StringProperty(name="Model", description="A hub id; nothing for the model that is chosen in the list")

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, {OFFLINE: not bpy.app.online_access, **reasons(context)})

    def execute(self, context: Context) -> Result:
        model = self.model.strip() or chosen_name(context.window_manager)
        row = row_named(model)
        if not model:
            return refuse(self, "Choose a model in the list, or type its hub id first.")
        if row is not None and not row.can_download:
            return refuse(self, f"{model} is here already.")
        return start(self, context, lambda models, repository: models.download(repository, model))


class SPLATSMITH_OT_cancel_model(bpy.types.Operator):
    """Stop the download; what has come is kept, and Download goes on from there"""

    bl_idname = "splatsmith.cancel_model"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Context) -> bool:
        models = addon_state.models
        none = models is None or models.state != "downloading"
        return can_press(cls, {"Nothing is being downloaded.": none})

    def execute(self, context: Context) -> Result:
        manager().cancel()
        return {"FINISHED"}


class SPLATSMITH_OT_use_model(bpy.types.Operator):
    """Make the model that is chosen in the list the Prior of this scene, or the LoRA its LoRA"""

    bl_idname = "splatsmith.use_model"
    bl_label = "Use"

    @classmethod
    def poll(cls, context: Context) -> bool:
        row = row_named(chosen_name(context.window_manager))
        return can_press(
            cls,
            {
                "Choose a model in the list first.": row is None,
                "Download it first.": row is not None and row.can_download,
                "It cannot be used: the reason stands below the list.": row is not None and row.state == "unusable",
            },
        )

    def execute(self, context: Context) -> Result:
        name, settings = chosen_name(context.window_manager), scene_settings(context)
        row = row_named(name)
        if row is not None and row.state == "LoRA":
            settings.lora = name
        else:
            settings.prior = name
        return {"FINISHED"}


class SPLATSMITH_OT_add_model_folder(bpy.types.Operator):
    """List the models of another folder, too: diffusers folders, .safetensors files, or ComfyUI's, A1111's, Forge's"""

    bl_idname = "splatsmith.add_model_folder"
    bl_label = "Add Folder"

    directory: StringProperty(name="Folder", description="The folder with the models", subtype="DIR_PATH")

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, reasons(context))

    def invoke(self, context: Context, _event: bpy.types.Event) -> Result:
        """Let the artist choose the folder."""
        cast(Any, context.window_manager).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> Result:
        folder = bpy.path.abspath(self.directory)
        return start(self, context, lambda models, repository: models.look(repository, "add", folder))


class SPLATSMITH_OT_remove_model_folder(bpy.types.Operator):
    """No longer list the models of this folder; nothing in it is touched"""

    bl_idname = "splatsmith.remove_model_folder"
    bl_label = "Remove Folder"

    folder: StringProperty(name="Folder", description="The folder, as it is listed")

    @classmethod
    def poll(cls, context: Context) -> bool:
        return can_press(cls, reasons(context))

    def execute(self, context: Context) -> Result:
        return start(self, context, lambda models, repository: models.look(repository, "remove", self.folder))


CLASSES = (
    SPLATSMITH_OT_list_models,
    SPLATSMITH_OT_download_model,
    SPLATSMITH_OT_cancel_model,
    SPLATSMITH_OT_use_model,
    SPLATSMITH_OT_add_model_folder,
    SPLATSMITH_OT_remove_model_folder,
)
