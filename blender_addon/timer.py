"""The timer: it runs on Blender's own thread, and handles there what the client's thread has received.

A tick handles messages one by one until BUDGET is used up; the next tick handles the rest.  Each message costs little:
splats are only stored for the live view.  After the messages an operator places at most one result a tick, so that each
import is one undo step.  No exception leaves the tick, because Blender would drop the timer without a word.
"""

from __future__ import annotations

import time
import traceback
from typing import Any

import bpy

from .incoming import dispatch
from .net.state import IDENTITY, addon_state
from .scene.blender_types import window_manager
from .scene.importers.splats import read_splats
from .scene.placing import find_object, splat_objects
from .ui.connect import autostart, connect, note_new_connection
from .ui.job_list import active_job, sync_list
from .ui.models_list import sync_models
from .ui.properties import describe_options, scene_settings
from .view.live_view import live_view

BUDGET = 0.008  # seconds that a tick spends on messages
INTERVAL = 0.05  # seconds between ticks
CHECK_EVERY = 1.0  # seconds between two checks of the backend's log and of the splats in the file
# While one of these runs, an import would put its undo step in the middle of it.
BUSY = ("TRANSFORM_OT_", "MESH_OT_", "CURVE_OT_")

_last_check = [0.0]


def start() -> None:
    """Start the timer, and the backend if the preferences say so."""
    bpy.app.timers.register(autostart, first_interval=0.1)
    bpy.app.timers.register(tick, first_interval=0.2, persistent=True)
    bpy.app.handlers.load_post.append(_forget_file)


def stop() -> None:
    """Stop the timer, the connection and what runs outside Blender: the backend, what makes kits and lists models."""
    for timer in (autostart, tick):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    if _forget_file in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_forget_file)
    if addon_state.client is not None:
        addon_state.client.stop()
    if addon_state.backend is not None:
        addon_state.backend.stop()
    if addon_state.kit is not None:
        addon_state.kit.cancel()
    if addon_state.models is not None:
        addon_state.models.cancel()
    addon_state.clear()


def tick() -> float:
    """One call of the timer.  Returns the seconds until the next."""
    try:
        _tick(bpy.context)
    except Exception as error:
        _report(error)
    return INTERVAL


def _report(error: Exception) -> None:
    traceback.print_exc()
    addon_state.say(f"Something went wrong in the add-on ({error}).", traceback.format_exc())


def _tick(context: bpy.types.Context) -> None:
    began = time.perf_counter()
    connect(context)
    note_new_connection()
    changed = False
    while time.perf_counter() - began < BUDGET and addon_state.client is not None:
        messages = addon_state.client.receive(1)
        if not messages:
            break
        changed = True
        try:
            dispatch(messages[0])
        except Exception as error:  # only this message is lost
            _report(error)
    describe_options(scene_settings(context))
    sync_list(context.window_manager)
    addon_state.watch(_watched(context))
    changed |= _place_one(context)
    changed |= _step_kit(context)
    changed |= _step_models(context)
    if began - _last_check[0] > CHECK_EVERY:
        _last_check[0] = began
        changed |= _check_log_and_file(context)
    if changed:
        redraw(context)


def _watched(context: bpy.types.Context) -> set[str]:
    """The chosen job, and all unfinished jobs that have a place in this file."""
    going = {job for job, row in addon_state.rows.items() if not row.ended and find_object(job, "place") is not None}
    return going | {active_job(context.window_manager)}


def _place_one(context: bpy.types.Context) -> bool:
    """Place one complete result, unless the artist is in the middle of something.  Returns whether it tried to.

    Never do this under `temp_override`.  If an override is set while another thread runs Python, as our client does,
    Blender up to 5.0 returns from an operator without Python's lock and crashes.  A timer has the first window anyway.
    """
    job = next((job for job, delivery in addon_state.deliveries.items() if delivery.complete), None)
    if job is None or context.window is None:
        return False
    operators: Any = bpy.ops  # the stubs know Blender's own alone
    if _busy(context.window) or not operators.splatsmith.place_result.poll():
        return False
    try:
        operators.splatsmith.place_result("EXEC_DEFAULT", True, job=job)
    except RuntimeError as error:  # what the operator reported; the panel shows it too
        addon_state.deliveries.pop(job, None)
        if not addon_state.notice:
            addon_state.say(str(error))
    return True


def _busy(window: bpy.types.Window) -> bool:
    """Whether the artist is in the middle of a move, a rotation, an edit ..."""
    return any(running.bl_idname.startswith(BUSY) for running in window.modal_operators)


def _step_kit(context: bpy.types.Context) -> bool:
    """Do one step of the kit in the making.  Returns whether something changed.  Exporting waits for Object Mode."""
    kit = addon_state.kit
    if kit is None or kit.ended:
        return False
    if kit.state == "exporting" and (context.window is None or context.mode != "OBJECT" or _busy(context.window)):
        return False
    return kit.step()


def _step_models(context: bpy.types.Context) -> bool:
    """Take what the process says that lists or downloads models.  Returns whether something changed."""
    if addon_state.models is None or not addon_state.models.step():
        return False
    sync_models(context.window_manager)
    return True


def _check_log_and_file(context: bpy.types.Context) -> bool:
    """Read the end of the backend's log, and draw splats of a file just opened.  Returns whether something changed."""
    backend, before = addon_state.backend, addon_state.log_tail
    addon_state.log_tail = backend.tail() if backend is not None else []
    found = _draw_one() if live_view.draws else False
    return found or before != addon_state.log_tail


def _draw_one() -> bool:
    """Draw the first imported splats that are readable and not drawn yet.  Returns whether there were any."""
    for job, obj in splat_objects():
        if job not in live_view.clouds and (cloud := read_splats(obj)) is not None:
            live_view.show(job, cloud, IDENTITY, live=False)
            return True
    return False


def redraw(context: bpy.types.Context) -> None:
    """Ask Blender to redraw all 3D views with their sidebars, and the preferences."""
    for window in window_manager(context).windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _forget_file(*_file: object) -> None:
    """Another file was opened: drop what is drawn for the last one, and the results requested for it."""
    live_view.clouds.clear()
    addon_state.deliveries.clear()
    addon_state.watched = ()
    if addon_state.kit is not None and addon_state.kit.state == "exporting":
        addon_state.kit.cancel()
