"""The list of jobs as it comes from the backend: in pages, and shorter when somebody removes one."""

import bpy
from one_job import state
from peer import until
from pressing import about, generate, ops, ticks

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import Error, Jobs, Removed


def test_a_list_of_several_pages_is_taken_whole(peer):
    ids = [f"{number:032x}" for number in range(120)]
    states = [state(has_mesh=False, job=job) for job in ids]
    pages = [Jobs(jobs=tuple(states[i : i + 50]), page=i // 50, last=i == 100) for i in (0, 50, 100)]
    peer.say(pages[1], *pages[:2])
    peer.say(pages[0], pages[2])  # what is missing in between was overtaken by a newer list
    peer.say(*pages)
    ticks(lambda: list(addon_state.rows) == ids)
    assert len(bpy.context.window_manager.splatsmith_jobs) == 120


def test_a_job_that_somebody_removed_is_gone_and_its_particles_with_it(peer):
    first, other, particle = (f"{number:032x}" for number in range(3))
    listed = [state(has_mesh=False, job=job) for job in (first, other)]
    peer.say(Jobs(jobs=(*listed, state(has_mesh=False, job=particle, part_of=first, particle=2))))
    ticks(lambda: len(addon_state.rows) == 3)
    peer.say(Removed(job=first))
    ticks(lambda: list(addon_state.rows) == [other])


def test_a_job_that_somebody_else_removed_leaves_no_empty_place(peer):
    (job,) = generate(peer)
    peer.say(about(job))
    ticks(lambda: addon_state.rows[job.job].confirmed)
    assert find_object(job.job, "place")
    peer.say(Removed(job=job.job))
    ticks(lambda: not addon_state.rows)
    assert find_object(job.job, "place") is None


def test_a_refused_continue_does_not_leave_the_job_queued(peer):
    (job,) = generate(peer)
    stopped = about(job, state="stopped")
    peer.say(stopped)
    ticks(lambda: addon_state.rows[job.job].ended)
    peer.jobs = (stopped,)
    ops.continue_job()
    assert addon_state.rows[job.job].state.state == "queued"
    peer.say(Error(text="The backend cannot use its disk.", job=job.job))
    assert until(lambda: addon_state.rows[job.job].ended, between=timer.tick)
    assert addon_state.notice == "The backend cannot use its disk."
