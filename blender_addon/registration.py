"""What is switched on and off with the add-on, in order."""

from __future__ import annotations

import bpy

from . import timer
from .ui import drawing, kit_panel, panels, preferences, properties
from .ui import job_operators as operators
from .ui import kit_operators as kit_controls
from .ui import small_operators as controls
from .view.live_view import live_view

_register_classes, _unregister_classes = bpy.utils.register_classes_factory(
    (
        *preferences.CLASSES,
        *kit_controls.CLASSES,
        *properties.CLASSES,
        *operators.CLASSES,
        *controls.CLASSES,
        *panels.CLASSES,
        *kit_panel.CLASSES,
    )
)


def register() -> None:
    """Make the classes known, then start drawing and listening."""
    _register_classes()
    properties.register()
    live_view.start()
    timer.start()


def unregister() -> None:
    """The same backwards."""
    timer.stop()
    live_view.stop()
    drawing.close_pictures()
    properties.unregister()
    _unregister_classes()
