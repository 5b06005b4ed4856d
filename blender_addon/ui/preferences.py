"""The preferences: where the backend is and how it is started, for all files.

No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import bpy
from bpy.props import BoolProperty, StringProperty

from ..net.state import addon_state
from ..shared.address import AddressError, parse_address
from ..shared.messages import DEFAULT_PORT
from .drawing import layout_of
from .models_list import draw_models

ADDON = str(__package__).rpartition(".")[0]  # the name by which Blender knows the add-on
CHECKOUT = Path(__file__).resolve().parents[2]  # the repository, if the add-on runs from there
GUIDES = [Path(__file__).parents[1] / "README.md", CHECKOUT / "README.md"]  # the package contains its own


def _models_opened(chosen: "SPLATSMITH_AP_preferences", _context: bpy.types.Context) -> None:
    """List the models when the artist first opens their section."""
    operators: Any = bpy.ops  # the stubs know Blender's own alone
    if chosen.show_models and addon_state.models is None and operators.splatsmith.list_models.poll():
        with suppress(RuntimeError):  # why it cannot be stands below the list
            operators.splatsmith.list_models()


class SPLATSMITH_AP_preferences(bpy.types.AddonPreferences):
    """The add-on's preferences."""

    bl_idname = ADDON

    address: StringProperty(
        name="Address",
        description="Where the backend listens, as host:port; this computer by default",
        default=f"127.0.0.1:{DEFAULT_PORT}",
    )
    server_key: StringProperty(
        name="Server Key",
        description="The line with the keys that a backend on another computer printed; empty for this computer",
    )
    secret_key: StringProperty(
        name="Secret Key",
        description="The second half of that line, where it was pasted in two",
        subtype="PASSWORD",
    )
    backend_folder: StringProperty(
        name="Backend Folder",
        description="The folder of Splatsmith's repository, from which Start Backend starts it",
        subtype="DIR_PATH",
        default=str(CHECKOUT) if (CHECKOUT / "backend" / "__main__.py").exists() else "",
    )
    autostart: BoolProperty(
        name="Start the Backend with Blender",
        description="Start the backend on this computer when Blender starts, if none answers",
    )
    farm_folder: StringProperty(
        name="Farm Folder",
        description="Where jobs for Flamenco are put, on the storage that workers share; empty for the storage that "
        "Flamenco's manager names",
        subtype="DIR_PATH",
    )

    show_models: BoolProperty(
        name="Models",
        description="Image models for a graphics card: those on this computer, and those that can be downloaded",
        update=_models_opened,
    )
    model_id: StringProperty(
        name="Hub Id", description="Another model of the hub, as OWNER/NAME", options={"SKIP_SAVE"}
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Show them."""
        layout = layout_of(self)
        column = layout.column()
        column.use_property_split = True
        for name in ("address", "server_key", "secret_key", "backend_folder", "autostart"):
            column.prop(self, name)
        draw_models(layout, context, preferences(context), backend_is_remote(context))
        guide = next((file for file in GUIDES if file.exists()), None)
        if guide:
            layout.operator("wm.url_open", text="Open the Guide", icon="HELP").url = guide.as_uri()


def preferences(context: bpy.types.Context) -> SPLATSMITH_AP_preferences:
    """The preferences of this add-on."""
    return cast(SPLATSMITH_AP_preferences, cast(Any, context.preferences).addons[ADDON].preferences)


def backend_is_remote(context: bpy.types.Context) -> bool:
    """Whether the backend is on another computer."""
    try:
        return not parse_address(preferences(context).address).loopback
    except AddressError:
        return False  # no backend answers at such an address


def user_folder() -> Path:
    """The folder for the add-on's own files: the user's, or Blender's temporary one if there is none."""
    try:
        return Path(bpy.utils.extension_path_user(ADDON, create=True))
    except ValueError:  # not installed as an extension
        return Path(bpy.app.tempdir)


def log_file() -> Path:
    """The file of the backend's log."""
    return user_folder() / "backend.log"


CLASSES = (SPLATSMITH_AP_preferences,)
