"""The timer that carries news from the client's thread into Blender, on Blender's own thread.

A tick takes messages one by one until BUDGET is spent, and goes on at the next.  Nothing that a message does here is
large: splats are only stored for the live view.  A result is placed by an operator, after the messages and one a
tick: one undo step, on purpose in one piece.  Nothing that is raised leaves the tick, for Blender would silently drop
the timer.
"""

from __future__ import annotations

import time
import traceback

import bpy

from .net.state import IDENTITY, addon_state
from .scene.importers.splats import read_splats
from .scene.placing import find, remove_place, splat_objects
from .scene.results import cloud_of
from .shared.messages import (
    Error,
    Fetch,
    FromServer,
    Jobs,
    JobState,
    Mesh,
    Preview,
    Priors,
    Progress,
    Splats,
    Trouble,
    Warning,
    Welcome,
)
from .ui.connect import autostart, connect, greet
from .ui.drawing import pictures
from .ui.job_list import active_job, sync_list
from .ui.properties import describe_options, take_priors
from .view.live_view import live_view

BUDGET = 0.008  # seconds of a tick for messages
INTERVAL = 0.05  # seconds between ticks
CHECK_EVERY = 1.0  # seconds between looks at what changes by itself: the log, the file's splats
BUSY = ("TRANSFORM_OT_", "MESH_OT_", "CURVE_OT_")  # an undo step must not fall into one of these

_last_check = [0.0]


def start() -> None:
    """Begin to tick; the first tick starts the backend where the preferences say so."""
    bpy.app.timers.register(autostart, first_interval=0.1)
    bpy.app.timers.register(tick, first_interval=0.2, persistent=True)
    bpy.app.handlers.load_post.append(_forget_file)


def stop() -> None:
    """Tick no more; let go of the connection and the backend."""
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
    addon_state.clear()


def tick() -> float:
    """One call of the timer; the seconds until the next."""
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
    greet()
    changed = False
    while time.perf_counter() - began < BUDGET and addon_state.client is not None:
        messages = addon_state.client.receive(1)
        if not messages:
            break
        changed = True
        try:
            dispatch(messages[0])
        except Exception as error:  # the message is lost, those after it are not
            _report(error)
    describe_options(context.scene.splatsmith)
    sync_list(context.window_manager)
    addon_state.watch(_watched(context))
    changed |= _place_one(context)
    changed |= _step_kit(context)
    if began - _last_check[0] > CHECK_EVERY:
        _last_check[0] = began
        changed |= _check_log_and_file(context)
    if changed:
        redraw(context)


def dispatch(message: FromServer) -> None:
    """Do what a message asks for."""
    match message:
        case Splats():
            _take_splats(message)
        case Preview():
            pictures().show(message.job, message.image)
        case Progress():
            addon_state.progress(message)
        case JobState():
            _take_state(message)
        case Jobs():
            _take_list(message)
        case Mesh():
            if (delivery := addon_state.deliveries.get(message.job)) is not None:
                delivery.mesh = message
        case Error():
            _take_error(message)
        case Warning():
            addon_state.warn(message.job, message.text)
        case Priors():
            take_priors(message)
        case Trouble():
            addon_state.trouble = message
        case Welcome():
            addon_state.connected(message)


def _take_list(jobs: Jobs) -> None:
    addon_state.take_list(jobs)
    for state in jobs.jobs:
        _show_thumbnail(state)


def _take_splats(message: Splats) -> None:
    delivery = addon_state.deliveries.get(message.job)
    if message.final and delivery is not None:
        delivery.splats = message
    elif message.job in addon_state.rows:
        live_view.show(message.job, cloud_of(message), message.to_scene, live=True)


def _take_state(state: JobState) -> None:
    just_done = addon_state.update(state)
    _show_thumbnail(state)
    if state.state == "failed":
        live_view.hide(state.job)
    wanted = bpy.context.scene.splatsmith.auto_import and find(state.job, "place") is not None
    if just_done and wanted and state.has_splats and addon_state.client is not None:
        addon_state.expect_results(state.job)
        addon_state.client.send(Fetch(job=state.job))


def _take_error(error: Error) -> None:
    addon_state.say(error.text, error.detail)
    if error.job is None:
        return
    if (delivery := addon_state.deliveries.get(error.job)) is not None:
        delivery.closed = True
        if delivery.splats is None:
            del addon_state.deliveries[error.job]
    row = addon_state.rows.get(error.job)
    if row is not None and not row.known:  # it was refused before it was a job
        addon_state.forget(error.job)
        remove_place(error.job)


def _show_thumbnail(state: JobState) -> None:
    if state.thumbnail is not None:
        pictures().show(state.job, state.thumbnail)


def _watched(context: bpy.types.Context) -> set[str]:
    """The chosen job, and those under way whose place is in this file."""
    going = {job for job, row in addon_state.rows.items() if not row.ended and find(job, "place") is not None}
    return going | {active_job(context.window_manager)}


def _place_one(context: bpy.types.Context) -> bool:
    """Place one result that is whole, unless the artist is in the middle of something; whether that was done.

    Never under `temp_override`: where an override is set and another thread runs Python, as our client's does, Blender
    5.0 and before come back from an operator without Python's lock, and crash.  A timer has the first window anyway.
    """
    job = next((job for job, delivery in addon_state.deliveries.items() if delivery.whole), None)
    if job is None or context.window is None:
        return False
    if _busy(context) or not bpy.ops.splatsmith.place_result.poll():
        return False
    try:
        bpy.ops.splatsmith.place_result("EXEC_DEFAULT", True, job=job)
    except RuntimeError as error:  # what the operator reported, which the panel shows too
        addon_state.deliveries.pop(job, None)
        if not addon_state.notice:
            addon_state.say(str(error))
    return True


def _busy(context: bpy.types.Context) -> bool:
    """Whether the artist is in the middle of something."""
    return any(running.bl_idname.startswith(BUSY) for running in context.window.modal_operators)


def _step_kit(context: bpy.types.Context) -> bool:
    """One step of the kit that is being made; whether something is new.  Exporting waits for Object Mode."""
    kit = addon_state.kit
    if kit is None or kit.ended:
        return False
    if kit.state == "exporting" and (context.window is None or context.mode != "OBJECT" or _busy(context)):
        return False
    return kit.step()


def _check_log_and_file(context: bpy.types.Context) -> bool:
    """Follow the backend's log, and draw the imported splats of a file that was opened; whether something is new."""
    backend, before = addon_state.backend, addon_state.log_tail
    addon_state.log_tail = backend.tail() if backend is not None else []
    found = _draw_one() if live_view.draws else False
    return found or before != addon_state.log_tail


def _draw_one() -> bool:
    """Draw the first imported splats that are not drawn yet and can be read; whether there were such."""
    for job, obj in splat_objects():
        if job not in live_view.clouds and (cloud := read_splats(obj)) is not None:
            live_view.show(job, cloud, IDENTITY, live=False)
            return True
    return False


def redraw(context: bpy.types.Context) -> None:
    """Have the 3D views drawn again, their sidebars too."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@bpy.app.handlers.persistent
def _forget_file(*_file: object) -> None:
    """Another file was opened: what is drawn and asked for belongs to the last one."""
    live_view.clouds.clear()
    addon_state.deliveries.clear()
    addon_state.watched = ()
    if addon_state.kit is not None and addon_state.kit.state == "exporting":
        addon_state.kit.cancel()
