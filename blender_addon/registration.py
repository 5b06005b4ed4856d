"""What is switched on and off with the add-on, in order."""

from __future__ import annotations

import bpy

from . import controls, drawing, kit_controls, kit_panel, operators, panels, preferences, properties, pump
from .live_view import live_view

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
    pump.start()


def unregister() -> None:
    """The same backwards."""
    pump.stop()
    live_view.stop()
    drawing.close_pictures()
    properties.unregister()
    _unregister_classes()
