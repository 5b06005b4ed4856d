"""The timer: what it survives, what it leaves for later, and what it says where there is nobody to listen to."""

import time

import bpy
import msgspec
import numpy as np
import pytest
from one_job import splats
from peer import until
from pressing import about, finish, generate, of, settings, ticks

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import (
    Error,
    Preview,
)
from blender_addon.ui.drawing import pictures
from blender_addon.view.live_view import live_view


def test_what_is_raised_in_a_tick_is_said_and_the_timer_goes_on(peer):
    (job,) = generate(peer)
    useless = splats(sh=np.zeros((20, 0, 3), np.float32))
    peer.say(of(msgspec.structs.replace(useless, final=False), job.job))
    assert until(lambda: "without colours" in addon_state.notice, between=timer.tick)
    assert "ResultError" in addon_state.detail
    assert timer.tick() == timer.INTERVAL
    peer.say(of(splats(final=False), job.job))
    assert until(lambda: job.job in live_view.clouds, between=timer.tick)


def test_a_tick_that_is_late_leaves_messages_for_the_next(peer, monkeypatch):
    ticks(lambda: not len(addon_state.client._inbox))
    taken, counts = [], []
    monkeypatch.setattr(timer, "dispatch", lambda message: (taken.append(message), time.sleep(0.6 * timer.BUDGET)))
    peer.say(*(Error(text=str(number)) for number in range(20)))
    assert until(lambda: len(addon_state.client._inbox) >= 20)
    while len(addon_state.client._inbox):
        before = len(taken)
        timer.tick()
        counts.append(len(taken) - before)
    assert max(counts) <= 2
    assert [message.text for message in taken if isinstance(message, Error)] == [str(number) for number in range(20)]


def test_half_a_million_splats_stream(peer):
    (job,) = generate(peer)
    peer.say(about(job))
    ticks(lambda: addon_state.rows[job.job].confirmed)
    snapshot = of(msgspec.structs.replace(splats(500_000), final=False), job.job)
    peer.say(snapshot, Preview(job=job.job, step=1, image=np.zeros((256, 256, 3), np.uint8)), snapshot)
    ticks(lambda: job.job in live_view.clouds and job.job in pictures())
    assert len(live_view.clouds[job.job].splats) == 500_000


def test_opening_a_file_and_switching_off_and_on_with_a_job_under_way(peer, addon, tmp_path):
    (job,) = generate(peer)
    peer.say(about(job), of(splats(final=False), job.job))
    ticks(lambda: job.job in live_view.clouds)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert not live_view.clouds
    peer.say(of(splats(final=False), job.job))
    ticks(lambda: job.job in live_view.clouds)
    assert settings().prompt == "a red apple"
    assert len(bpy.context.window_manager.splatsmith_jobs) == 1
    address = addon.address
    bpy.ops.preferences.addon_disable(module="blender_addon")
    assert not bpy.app.timers.is_registered(timer.tick)
    assert (addon_state.client, addon_state.rows, live_view.clouds) == (None, {}, {})
    peer.jobs = (about(job),)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    bpy.context.preferences.addons["blender_addon"].preferences.address = address
    ticks(lambda: job.job in addon_state.rows)
    finish(peer, job)
    ticks(lambda: addon_state.deliveries)
    peer.say(of(splats(), job.job))
    ticks(lambda: find_object(job.job, "splats"))


def test_another_computer_needs_leave_to_go_online(addon):
    addon.address = "192.0.2.1:47800"
    addon.server_key = addon.secret_key = "k" * 40
    timer.tick()
    assert addon_state.status.state == "refused"
    assert "allow online access" in addon_state.status.text
    assert addon_state.client is None


@pytest.mark.parametrize("address", ["", "nonsense address", "127.0.0.1:99999999"])
def test_an_address_that_is_none_is_said_in_a_sentence(addon, address):
    addon.address = address
    timer.tick()
    assert addon_state.status.state == "refused"
    assert addon_state.status.text.endswith(".")
    addon.address = "127.0.0.1:1"
    timer.tick()
    assert addon_state.client is not None
