"""The small buttons beside the settings: roll the seed, set an option back to its default."""

from typing import Any

import bpy
from bpy.props import StringProperty

from .operators_common import Context, Result, refuse
from .properties import offered_option, random_seed, scene_settings


class SPLATSMITH_OT_dice(bpy.types.Operator):
    """Roll another seed"""

    bl_idname = "splatsmith.dice"
    bl_label = "Roll the Seed"

    def execute(self, context: Context) -> Result:
        scene_settings(context).seed = random_seed()
        return {"FINISHED"}


class SPLATSMITH_OT_reset_option(bpy.types.Operator):
    """Set an option of the objective back to the backend's default"""

    bl_idname = "splatsmith.reset_option"
    bl_label = "Back to Default"

    name: StringProperty(name="Setting", description="The setting's name")

    @classmethod
    def description(cls, context: Context, properties: Any) -> str:
        """The tooltip: what the setting does, as the backend tells it."""
        option = offered_option(scene_settings(context), properties.name)
        return f"{option.description}.  Press to go back to the default, {option.default}" if option else ""

    def execute(self, context: Context) -> Result:
        settings = scene_settings(context)
        option, item = offered_option(settings, self.name), settings.option(self.name)
        if option is None or item is None:
            return refuse(self, "The backend has no such setting.")
        item.reset(option)
        return {"FINISHED"}


CLASSES = (
    SPLATSMITH_OT_dice,
    SPLATSMITH_OT_reset_option,
)
