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


def test_particles_are_listed_and_stand_beside_the_first(peer):
    (job,) = generate(peer, particles=2)
    assert job.fields["particles"] == 2
    finish(peer, job)
    peer.say(of(splats(), job.job))
    ticks(lambda: find_object(job.job, "splats"))
    second = msgspec.structs.replace(about(job, state="done"), job="ab" * 16, part_of=job.job, particle=2)
    peer.say(second)
    ticks(lambda: Fetch(job=second.job).job in [fetch.job for fetch in peer.heard_of(Fetch)])
    peer.say(of(splats(30), second.job))
    ticks(lambda: find_object(second.job, "splats"))
    assert len(find_object(job.job, "splats").data.vertices) == 20
    assert len(find_object(second.job, "splats").data.vertices) == 30
    places = [find_object(of_job, "place") for of_job in (job.job, second.job)]
    assert [place.location.x for place in places] == [0, 2.5]
    assert places[1].name.endswith("· particle 2")
    asked = len(peer.heard_of(Fetch))
    peer.say(msgspec.structs.replace(second, step=9, of=9))  # the job was continued
    ticks(lambda: len(peer.heard_of(Fetch)) == asked + 1)
    assert [row.state.particle for row in addon_state.rows.values()] == [2, 1]


def test_particles_are_offered_and_sent_where_the_objective_takes_them(peer):
    settings().objective = "new"
    (job,) = generate(peer, particles=4)
    assert "particles" not in job.fields
    settings().objective = "vdm"
    (job,) = generate(peer, particles=1)
    assert "particles" not in job.fields


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
