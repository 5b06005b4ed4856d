"""Jobs from the button to the socket and back: what each button and each message does."""

import bpy
import numpy as np
import pytest
from one_job import splats
from peer import WELCOME, until
from pressing import IMAGE, about, generate, of, ops, settings, ticks
from test_panels import refusal, texts

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_collection, find_object
from blender_addon.shared.messages import (
    Cancel,
    Continue,
    Error,
    Fetch,
    Forget,
    FreeMemory,
    Generate,
    Preview,
    Progress,
    Trouble,
    Warning,
    Watch,
)
from blender_addon.ui.drawing import pictures
from blender_addon.ui.job_list import active_job, choose_job
from blender_addon.view.live_view import live_view


def test_a_job_from_the_button_to_the_scene(peer, glb):
    (job,) = generate(peer, seed=7, negative_prompt="leaf", quality="high")
    assert job.mesh is None
    assert job.fields == {
        "prompt": "a red apple",
        "negative_prompt": "leaf",
        "objective": "vdm",
        "prior": "embedded",
        "seed": 7,
        "quality": "high",
    }
    assert addon_state.rows[job.job].state.state == "queued"
    assert active_job(bpy.context.window_manager) == job.job
    assert find_object(job.job, "place").show_name
    peer.say(about(job))
    ticks(lambda: peer.heard_of(Watch) and peer.heard_of(Watch)[-1].jobs == (job.job,))
    peer.say(
        Progress(job=job.job, step=2, of=3, seconds_left=4.0, metrics={}), Preview(job=job.job, step=2, image=IMAGE)
    )
    peer.say(of(splats(final=False), job.job))
    ticks(lambda: job.job in live_view.clouds and addon_state.rows[job.job].state.step == 2 and job.job in pictures())
    assert live_view.clouds[job.job].live
    assert find_object(job.job, "splats") is None
    peer.say(about(job, state="done", has_mesh=True))
    ticks(lambda: peer.heard_of(Fetch))
    peer.say(of(splats(30), job.job))
    ticks(lambda: addon_state.deliveries[job.job].splats)
    assert find_object(job.job, "splats") is None  # it waits for the mesh
    peer.say(of(glb, job.job))
    ticks(lambda: find_object(job.job, "mesh") is not None)
    assert len(find_object(job.job, "splats").data.vertices) == 30
    assert find_collection(job.job)["backend_version"] == WELCOME.version
    assert not live_view.clouds[job.job].live
    assert not addon_state.deliveries


def test_the_menus_come_from_the_backend_and_only_what_was_changed_is_sent(peer):
    timer.tick()
    offered = [item.identifier for item in settings().bl_rna.properties["objective"].enum_items_static]
    assert offered == []  # none of them is built in
    settings().objective = "new"
    (job,) = generate(peer)
    assert job.fields["objective"] == "new"
    assert "recipe" not in job.fields
    settings().objective = "vdm"
    settings().option("strength").number = 1e6
    settings().option("rule").choice = "released"
    settings().option("steps").count = -3
    (job,) = generate(peer)
    assert job.fields["recipe"] == {"options": {"strength": 100.0, "rule": "released", "steps": 1}}
    ops.reset_option(name="strength")
    (job,) = generate(peer)
    assert job.fields["recipe"] == {"options": {"rule": "released", "steps": 1}}
    with pytest.raises(TypeError):
        settings().objective = "none such"


def test_a_setting_that_is_a_text_is_sent_as_typed_and_set_back(peer):
    timer.tick()
    settings().objective = "vdm"
    file = settings().option("corrective")
    assert (file.field, file.value, file.touched) == ("chosen", "", False)
    file.chosen = "/work/b.safetensors"
    (job,) = generate(peer)
    assert job.fields["recipe"] == {"options": {"corrective": "/work/b.safetensors"}}
    ops.reset_option(name="corrective")
    (job,) = generate(peer)
    assert "recipe" not in job.fields


def test_variations_get_seeds_and_places_of_their_own(peer):
    jobs = generate(peer, seed=2**31 - 2, variations=3)
    assert [job.fields["seed"] for job in jobs] == [2**31 - 2, 2**31 - 1, 0]
    places = [find_object(job.job, "place") for job in jobs]
    assert [place.location.x for place in places] == [0, 2.5, 5]
    assert [place.name.split()[-1] for place in places] == [str(job.fields["seed"]) for job in jobs]
    assert list(addon_state.rows) == [job.job for job in reversed(jobs)]  # the newest first
    assert active_job(bpy.context.window_manager) == jobs[0].job


def test_every_variation_looks_for_a_spot_of_its_own(peer):
    (single,) = generate(peer)
    find_object(single.job, "place").location.x = 2.5
    jobs = generate(peer, variations=3)
    places = [find_object(job.job, "place").location.x for job in jobs]
    assert places == [0, 5, 7.5]
    bpy.ops.mesh.primitive_cube_add(size=2 / 3**0.5)  # in the unit ball
    jobs = generate(peer, variations=2, start="SELECTED")
    places = [find_object(job.job, "place").location.x for job in jobs]
    np.testing.assert_allclose(places, [0, 10], atol=1e-5)  # the first stands in the selection


def test_what_keeps_the_backend_from_working_is_said_until_it_works(peer):
    peer.say(Trouble(text="The worker ended before it was ready (no card).", detail="Traceback"))
    ticks(lambda: addon_state.trouble.text)
    assert "no card" in texts()
    peer.say(Trouble())
    ticks(lambda: not addon_state.trouble.text)
    assert "no card" not in texts()


def test_a_job_starts_from_the_selection_where_that_stands(peer):
    bpy.ops.mesh.primitive_cube_add(location=(4, 0, 0))
    (job,) = generate(peer, start="SELECTED", keep_shape=0.75)
    assert job.fields["keep_shape"] == 0.75
    np.testing.assert_allclose(job.mesh.vertices.mean(0), (4, 0, 0), atol=1e-6)
    assert tuple(find_object(job.job, "place").location) == (4, 0, 0)
    bpy.ops.object.select_all(action="DESELECT")
    with pytest.raises(RuntimeError, match="No mesh object is selected"):
        ops.generate()
    assert "No mesh object" in addon_state.notice
    assert len(addon_state.rows) == 1


def test_what_a_selection_leaves_out_is_said_in_the_panel(peer):
    bpy.ops.curve.primitive_bezier_circle_add()
    bare = bpy.context.object
    bpy.ops.mesh.primitive_cube_add()
    noise = bpy.data.materials.new("Noise")
    noise.use_nodes = True
    tree = noise.node_tree
    texture = tree.nodes.new("ShaderNodeTexNoise")
    tree.links.new(texture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    bpy.context.object.data.materials.append(noise)
    bare.select_set(True)
    generate(peer, start="SELECTED")
    assert addon_state.notice == (
        f"{bare.name} is left out, because it shows no faces. "
        "Noise: its colour is made by nodes, so its viewport colour was taken; bake it."
    )
    generate(peer, start="AUTOMATIC")
    assert addon_state.notice == ""


def test_the_buttons_of_a_job_ask_for_what_they_say(peer):
    (job,) = generate(peer, seed=5, prompt="a chair")
    peer.say(about(job, prompt="a chair"))
    ticks(lambda: addon_state.rows[job.job].confirmed)
    ops.cancel()
    assert until(lambda: [m.job for m in peer.heard_of(Cancel)] == [job.job])
    peer.say(about(job, state="stopped", prompt="a chair", has_splats=False))
    ticks(lambda: addon_state.rows[job.job].ended)
    assert "This job has no splats yet" in refusal(ops.refine_mesh)
    settings().more_steps = 33
    ops.continue_job()
    assert until(lambda: [(m.job, m.steps) for m in peer.heard_of(Continue)] == [(job.job, 33)])
    assert addon_state.rows[job.job].state.state == "queued"
    settings().prompt = "something else"
    ops.run_again()
    assert until(lambda: len(peer.heard_of(Generate)) == 2)
    again = peer.heard_of(Generate)[-1]
    assert (again.like, again.mesh, list(again.fields)) == (job.job, None, ["seed"])
    assert again.fields["seed"] != 5
    assert addon_state.rows[again.job].state.prompt == "a chair"
    assert find_object(again.job, "place").location.x == 2.5
    peer.say(about(job, state="stopped", has_splats=True))
    ticks(lambda: addon_state.rows[job.job].ended)
    choose_job(bpy.context.window_manager, job.job)
    peer.say(about(job, state="done", has_splats=True, has_mesh=True))
    ticks(lambda: addon_state.rows[job.job].state.has_mesh)
    ops.refine_mesh(steps=50)
    assert until(lambda: [m.refine_steps for m in peer.heard_of(Continue)] == [None, 50])
    assert addon_state.rows[job.job].state.state == "queued"
    peer.say(about(job, state="stopped", has_splats=True))
    ticks(lambda: addon_state.rows[job.job].ended)
    ops.import_result()
    peer.say(of(splats(), job.job))
    ticks(lambda: find_object(job.job, "splats"))
    ops.forget()
    assert until(lambda: [m.job for m in peer.heard_of(Forget)] == [job.job])
    assert job.job not in addon_state.rows
    assert find_object(job.job, "splats")  # what was imported stays


def test_the_cards_memory_is_given_back_but_not_while_a_job_runs(peer):
    (job,) = generate(peer)
    peer.say(about(job))
    ticks(lambda: addon_state.rows[job.job].state.state == "running")
    assert "A job is running" in refusal(ops.free_memory)
    peer.say(about(job, state="done"))
    ticks(lambda: addon_state.rows[job.job].ended)
    ops.free_memory()
    assert until(lambda: len(peer.heard_of(FreeMemory)) == 1)


def test_a_request_that_is_refused_leaves_nothing(peer):
    (job,) = generate(peer)
    peer.say(Error(text="The prompt is empty.", detail="Traceback", job=job.job))
    assert until(lambda: addon_state.notice == "The prompt is empty.", between=timer.tick)
    assert (addon_state.detail, addon_state.rows) == ("Traceback", {})
    assert not bpy.data.objects
    timer.tick()
    assert not len(bpy.context.window_manager.splatsmith_jobs)


def test_a_failure_and_every_warning_are_told_in_the_list(peer):
    (job,) = generate(peer)
    peer.say(about(job), *(Warning(job=job.job, text=text) for text in ("Unknown word.", "No colours.", "No colours.")))
    ticks(lambda: addon_state.rows[job.job].state.warnings == ("Unknown word.", "No colours."))
    peer.say(about(job, state="failed", text="Too little memory."))
    ticks(lambda: addon_state.rows[job.job].state.state == "failed")
    assert addon_state.rows[job.job].state.text == "Too little memory."
