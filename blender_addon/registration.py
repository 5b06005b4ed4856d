"""Switches everything on and off with the add-on, in the right order."""

from __future__ import annotations

from typing import Any

import bpy

from . import timer
from .ui import (
    backend_operators,
    drawing,
    farm,
    generate_operators,
    job_operators,
    kit_operators,
    kit_panel,
    kit_properties,
    models_list,
    models_operators,
    panels,
    preferences,
    properties,
    result_operators,
    setting_operators,
)
from .view.live_view import live_view

# Blender needs a class before those that refer to it: the kit's properties are part of the settings.
MODULES = (
    models_list,
    preferences,
    kit_properties,
    properties,
    generate_operators,
    job_operators,
    result_operators,
    backend_operators,
    setting_operators,
    kit_operators,
    models_operators,
    panels,
    kit_panel,
    farm,
)
_factory: Any = bpy.utils.register_classes_factory  # in the stubs it returns nothing
_register_classes, _unregister_classes = _factory([cls for module in MODULES for cls in module.CLASSES])


def register() -> None:
    """Register the classes, then start the live view and the timer."""
    _register_classes()
    models_list.register()
    properties.register()
    live_view.start()
    timer.start()


def unregister() -> None:
    """Undo `register`, in the opposite order."""
    timer.stop()
    live_view.stop()
    drawing.close_pictures()
    properties.unregister()
    models_list.unregister()
    _unregister_classes()
