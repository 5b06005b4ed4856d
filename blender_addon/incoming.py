"""What the add-on does with each message from the backend."""

from __future__ import annotations

import bpy

from .net.state import addon_state
from .scene.placing import find_object, remove_place
from .scene.results import cloud_of
from .shared.messages import (
    Detail,
    Error,
    Fetch,
    FromServer,
    Jobs,
    JobState,
    ListJobs,
    Mesh,
    Preview,
    Priors,
    Progress,
    Removed,
    Splats,
    Trouble,
    Warning,
    Welcome,
)
from .ui.backend_operators import copy_details
from .ui.drawing import pictures
from .ui.job_operators import drop
from .ui.properties import scene_settings, take_priors
from .view.live_view import live_view


def dispatch(message: FromServer) -> None:
    """Handle one message."""
    match message:
        case Splats():
            _take_splats(message)
        case Preview():
            pictures().show(message.job, message.image)
        case Progress() | Removed() | Warning():
            _take_news_of_job(message)
        case JobState():
            _take_state(message)
        case Jobs():
            _take_list(message)
        case Mesh():
            if (delivery := addon_state.deliveries.get(message.job)) is not None:
                delivery.mesh = message
        case Detail():
            if addon_state.take_detail(message):
                copy_details(bpy.context)
        case Error():
            _take_error(message)
        case Priors() | Trouble() | Welcome():
            _take_news_of_backend(message)


def _take_news_of_backend(message: Priors | Trouble | Welcome) -> None:
    match message:
        case Priors():
            take_priors(message)
        case Trouble():
            addon_state.trouble = message
        case Welcome():
            addon_state.connected(message)


def _take_news_of_job(message: Progress | Removed | Warning) -> None:
    match message:
        case Progress():
            addon_state.progress(message)
        case Removed():
            drop(message.job)
        case Warning():
            addon_state.warn(message.job, message.text)


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
    stands = find_object(state.part_of or state.job, "place") is not None
    wanted = scene_settings(bpy.context).auto_import and stands
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
    if row is not None and not row.confirmed:  # the backend refused the request, so there is no such job
        addon_state.forget(error.job)
        remove_place(error.job)
    elif row is not None and addon_state.ready:  # it may stand there as queued
        addon_state.send(ListJobs())


def _show_thumbnail(state: JobState) -> None:
    if state.thumbnail is not None:
        pictures().show(state.job, state.thumbnail)
