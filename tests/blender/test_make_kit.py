"""Make Kit from the button to the Prior menu, by the real backend's program; and how kits are chosen and mixed."""

import json
from pathlib import Path

import bpy
import msgspec
import pytest
from one_job import splats
from peer import CATALOGUE, EMBEDDED, MODEL, OAK, until
from pressing import finish, generate, of, ops, settings, ticks
from test_panels import behind, drawn, refusal, texts

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import Prior, Priors
from blender_addon.ui import kit_panel, panels, properties

CREDITS = ("Oak chair by Scopia (CC-BY-3.0), 61 %", *(f"Stool {i}, 1 %" for i in range(6)))


@pytest.fixture
def kits(peer, tmp_path):
    """The folder where the backend keeps its kits."""
    folder = tmp_path / "kits"
    folder.mkdir()
    return folder


def wanted():
    return settings().kit


def cube(name):
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.name = name
    return bpy.context.object


def ended():
    return addon_state.kit is not None and addon_state.kit.ended


def test_kits_are_in_the_prior_menu_and_a_job_gets_the_folder(peer):
    ticks(lambda: len(addon_state.priors.priors) == 3)
    offered = properties._priors(settings(), bpy.context, "")
    assert offered == [(prior.title, prior.description) for prior in (EMBEDDED, OAK, MODEL)]
    (job,) = generate(peer, prior="Oak chairs")
    assert job.fields["prior"] == "/kits/oak"
    assert "recipe" not in job.fields
    assert generate(peer, prior="stabilityai/unknown")[0].fields["prior"] == "stabilityai/unknown"
    assert generate(peer, prior=" ")[0].fields["prior"] == "embedded"
    settings().prior = "Oak chairs"
    peer.say(Priors(priors=(EMBEDDED, msgspec.structs.replace(OAK, title="Oak chairs (oak)"))))
    ticks(lambda: settings().prior == "Oak chairs (oak)")  # another one of that name has come
    peer.say(Priors(priors=(EMBEDDED,), notes=("/kits/oak/kit.json is damaged: make the kit again.",)))
    ticks(lambda: addon_state.priors.notes)
    assert "is damaged" in texts(kit_panel.SPLATSMITH_PT_kit)


def test_mix_is_a_slider_of_kits_alone_and_its_default_is_the_backend_s(peer):
    ticks(lambda: settings().option("catalogue.mix") and len(addon_state.priors.priors) == 3)
    mix = settings().option("catalogue.mix")
    assert (mix.field, mix.factor, mix.touched) == ("factor", 0.25, False)
    settings().objective = "new"  # whose recipe mixes more
    ticks(lambda: mix.factor == 0.75)
    settings().objective = "vdm"
    settings().prior = "Oak chairs"
    ticks(lambda: mix.factor == 0.25)
    names = [name.rpartition(".")[2].partition("[")[0] for name in behind("rna")]
    assert names.index("prior") < names.index("factor") < names.index("objective")
    assert "Mix" in texts(panels.SPLATSMITH_PT_main)
    assert "Objects" in texts(panels.SPLATSMITH_PT_more)
    mix.factor = 0.9
    settings().option("strength").number = 3
    assert generate(peer)[0].fields["recipe"] == {"options": {"strength": 3.0}, "catalogue": {"mix": 0.9}}
    settings().objective = "new"
    timer.tick()
    assert generate(peer)[0].fields["recipe"] == {"catalogue": {"mix": 0.9}}  # kept, as it is the artist's
    tip = properties.offered_option(settings(), "catalogue.mix").description
    assert tip == CATALOGUE[0].description
    ops.reset_option(name="catalogue.mix")
    assert mix.factor == 0.75
    assert "recipe" not in generate(peer)[0].fields
    mix.factor = 0.5
    settings().prior = "some/model"
    assert "Mix" not in texts(panels.SPLATSMITH_PT_main)
    assert "recipe" not in generate(peer)[0].fields


def test_credits_are_shown_and_stay_with_the_result(peer, glb):
    (job,) = generate(peer)
    finish(peer, job, has_mesh=True, credits=CREDITS)
    ticks(lambda: job.job in addon_state.deliveries)
    peer.say(of(splats(), job.job), of(glb, job.job))
    ticks(lambda: find_object(job.job, "mesh"))
    said = texts(panels.SPLATSMITH_PT_jobs)
    assert CREDITS[0] in said
    assert "and 2 more" in said
    for role in ("place", "splats", "mesh"):
        assert find_object(job.job, role)["splatsmith_credits"].split("\n") == list(CREDITS)


def test_a_kit_from_the_button_to_the_prior(kits, peer):
    bare = bpy.data.objects.new("Bare", bpy.data.meshes.new("Bare"))
    bpy.context.scene.collection.objects.link(bare)
    cube("Oak_Chair.001")
    bare.select_set(True)
    wanted().title = "My chairs"
    ops.make_kit()
    assert addon_state.kit.state == "exporting"
    assert "is being made" in refusal(ops.make_kit)
    ticks(lambda: addon_state.kit.state == "photographing")
    assert "Photographing 0 of 1" in texts(kit_panel.SPLATSMITH_PT_kit)
    assert until(ended, 400, between=timer.tick)
    assert addon_state.kit.state == "done", addon_state.kit.report()
    folder = kits / "my-chairs"
    index = json.loads((folder / "kit.json").read_bytes())
    assert (index["name"], [thing["name"] for thing in index["objects"]]) == ("My chairs", ["Oak chair"])
    said = texts(kit_panel.SPLATSMITH_PT_kit)
    assert "The kit My chairs holds 1 object." in said
    assert "Bare is left out: it shows no faces." in said
    ops.copy_kit_report()
    assert "not found it yet" in refusal(ops.use_kit)
    peer.say(Priors(priors=(EMBEDDED, Prior(name=str(folder), title="My chairs", kit=True))))
    ticks(lambda: len(addon_state.priors.priors) == 2)
    ops.use_kit()
    assert generate(peer, prior=settings().prior)[0].fields["prior"] == str(folder)
    parts = addon_state.kit.request.parts
    assert not parts.exists()
    ops.make_kit()  # the same again, from the same paths
    assert addon_state.kit.request.parts == parts
    ops.cancel_kit()
    assert addon_state.kit.state == "stopped"


def test_a_kit_of_a_collection_or_of_assets(kits):
    thing, other, cutter = cube("Chair"), cube("Stool"), cube("Cutter")
    cutter.hide_render = True
    inside = bpy.data.collections.new("Seats")
    bpy.context.scene.collection.children.link(inside)
    for member in (thing, cutter):
        inside.objects.link(member)
    wanted().source = "COLLECTION"
    assert "Choose a collection" in refusal(ops.make_kit)
    wanted().collection = inside
    assert [thing.name for thing in wanted().sources(bpy.context)] == ["Chair"]
    wanted().source = "ASSETS"
    assert "marked as an asset" in refusal(ops.make_kit)
    other.asset_mark()
    assert [thing.name for thing in wanted().sources(bpy.context)] == ["Stool"]
    bpy.ops.object.select_all(action="DESELECT")
    wanted().source = "SELECTED"
    assert "Select objects" in refusal(ops.make_kit)


def test_exporting_waits_for_object_mode_and_ends_with_the_file(kits):
    cube("Chair")
    ops.make_kit()
    bpy.ops.object.mode_set(mode="EDIT")
    timer.tick()
    assert (addon_state.kit.state, addon_state.kit.done) == ("exporting", 0)
    assert "when you are back in Object Mode" in texts(kit_panel.SPLATSMITH_PT_kit)
    bpy.ops.object.mode_set(mode="OBJECT")
    timer.tick()
    assert addon_state.kit.done == 1
    bpy.ops.wm.read_homefile(use_empty=True)
    assert addon_state.kit.state == "stopped"


def test_a_grey_button_says_why(kits, addon):
    cube("Chair")
    wanted().title = " "
    assert "Give the kit a name" in refusal(ops.make_kit)
    wanted().title = "Embedded"
    assert "the kit that ships" in refusal(ops.make_kit)
    wanted().title = "Chairs"
    assert "No kit is being made" in refusal(ops.cancel_kit)
    assert "Make a kit first" in refusal(ops.use_kit)
    assert "No kit was made yet" in refusal(ops.copy_kit_report)
    bpy.ops.object.mode_set(mode="EDIT")
    assert "Object Mode" in refusal(ops.make_kit)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.preferences.addon_disable(module="io_scene_gltf2")
    try:
        assert "glTF add-on is off" in refusal(ops.make_kit)
    finally:
        bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    welcome, addon_state.welcome = addon_state.welcome, None  # as until the timer's next tick after a connection
    assert "press Make Kit once more" in refusal(ops.make_kit)
    addon_state.welcome = welcome
    kits.rmdir()
    assert "not on this computer" in refusal(ops.make_kit)
    kits.mkdir()
    addon.backend_folder = "/nowhere"
    assert "There is no backend in" in refusal(ops.make_kit)
    addon.backend_folder = ""
    assert "Choose the Backend Folder" in refusal(ops.make_kit)
    addon.address = "render-box:47800"
    assert "on another computer: make the kit there" in refusal(ops.make_kit)
    assert Path(addon_state.welcome.kits) == kits
    assert addon_state.kit is None


def test_the_kit_s_panel_is_drawn_whole(kits):
    items = [item["rna"].rpartition(".")[2] for item in drawn(kit_panel.SPLATSMITH_PT_kit) if "rna" in item]
    assert {item.partition("[")[0] for item in items} == {"title", "source", "own_front", "add"}
    wanted().source = "COLLECTION"
    assert any("collection" in item.get("rna", "") for item in drawn(kit_panel.SPLATSMITH_PT_kit))
