"""Results that arrive: when they are placed in the scene, and what is said about it."""

import bpy
import msgspec
from one_job import JOB, splats, state
from peer import until
from pressing import about, finish, generate, of, ops, settings, ticks

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import (
    Fetch,
    Jobs,
)
from blender_addon.ui.job_list import choose_job


def test_a_result_whose_mesh_cannot_be_read_is_placed_and_that_is_said(peer, glb):
    (job,) = generate(peer)
    finish(peer, job, has_mesh=True)
    ticks(lambda: addon_state.deliveries)
    damaged = msgspec.structs.replace(glb, glb=glb.glb[:100])
    peer.say(of(splats(), job.job), of(damaged, job.job))
    assert until(lambda: find_object(job.job, "splats"), between=timer.tick)
    assert "The splats are placed, without their mesh." in addon_state.notice
    assert not addon_state.deliveries


def test_a_newer_result_without_a_mesh_is_said(peer, glb):
    (job,) = generate(peer)
    finish(peer, job, has_mesh=True)
    ticks(lambda: addon_state.deliveries)
    peer.say(of(splats(), job.job), of(glb, job.job))
    ticks(lambda: find_object(job.job, "mesh"))
    assert not addon_state.notice
    peer.say(about(job, state="stopped", has_splats=True, has_mesh=False))
    ticks(lambda: not addon_state.rows[job.job].state.has_mesh)
    choose_job(bpy.context.window_manager, job.job)
    ops.import_result()
    peer.say(of(splats(35), job.job))
    assert until(lambda: len(find_object(job.job, "splats").data.vertices) == 35, between=timer.tick)
    assert "That of the earlier result is kept, hidden" in addon_state.notice


def test_a_result_is_imported_later_after_blender_was_started_again(peer):
    peer.jobs = (state(has_mesh=False),)
    peer.say(Jobs(jobs=peer.jobs))
    ticks(lambda: len(bpy.context.window_manager.splatsmith_jobs) == 1)
    assert not peer.heard_of(Fetch)  # nobody asked for it here
    ops.import_result()
    peer.say(splats())
    ticks(lambda: find_object(JOB, "splats"))


def test_nothing_is_imported_by_itself_where_the_artist_does_not_want_it(peer):
    settings().auto_import = False
    (job,) = generate(peer)
    finish(peer, job)
    ticks(lambda: addon_state.rows[job.job].ended)
    settings().auto_import = True
    (other,) = generate(peer)
    bpy.data.objects.remove(find_object(other.job, "place"))  # or undone
    finish(peer, other)
    ticks(lambda: addon_state.rows[other.job].ended)
    assert not peer.heard_of(Fetch)


def test_a_result_waits_until_edit_mode_is_left(peer):
    bpy.ops.mesh.primitive_cube_add()
    (job,) = generate(peer)
    bpy.ops.object.mode_set(mode="EDIT")
    finish(peer, job)
    peer.say(of(splats(), job.job))
    ticks(lambda: job.job in addon_state.deliveries and addon_state.deliveries[job.job].complete)
    assert not timer._place_one(bpy.context)
    bpy.ops.object.mode_set(mode="OBJECT")
    ticks(lambda: find_object(job.job, "splats"))


def test_a_result_is_placed_in_a_tick_that_has_messages(peer):
    (job,) = generate(peer)
    finish(peer, job)
    ticks(lambda: addon_state.deliveries)
    peer.say(of(splats(), job.job))
    assert until(lambda: len(addon_state.client._inbox))
    timer.tick()
    assert find_object(job.job, "splats")
