"""What an import makes of a job's results, and of those that are in the scene already."""

import bpy
import numpy as np
import pytest
from one_job import JOB, TO_SCENE, deliver, place, reveal, splats, vertices
from samples import TRIANGLE

from blender_addon import timer
from blender_addon.scene import placing
from blender_addon.scene.importers.mesh import MeshFileError
from blender_addon.scene.placing import (
    find_collection,
    find_object,
)
from blender_addon.scene.results import ResultError, hide_cubes, show_only, shown_role
from blender_addon.shared.messages import Mesh
from blender_addon.view.live_view import live_view


def render(tmp_path):
    """A few pixels of what Cycles sees from above."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", 4.0, (10, 0, 9)
    scene.camera, scene.render.engine, scene.cycles.samples = camera, "CYCLES", 1
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.render.film_transparent, scene.render.filepath = True, str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    return np.array(bpy.data.images.load(scene.render.filepath).pixels[:])


def test_the_collection_has_the_prompt_s_name_and_everything_says_where_it_is_from(glb):
    things = deliver(splats(), glb)
    collection = find_collection(JOB)
    assert collection.name == "a red apple"
    for holder in (collection, *things):
        told = {key: holder[key] for key in ("prompt", "objective", "seed", "backend_version", "splatsmith_job")}
        assert told == {
            "prompt": "a red apple",
            "objective": "vdm",
            "seed": str(2**40),
            "backend_version": "0.1.0",
            "splatsmith_job": JOB,
        }


def test_a_second_import_brings_the_objects_up_to_date(glb):
    place()
    thing, mesh = deliver(splats(20), glb)
    thing.location.x += 3
    mesh.location.x += 3
    newer = splats(35, seed=1)
    materials, images = len(bpy.data.materials), len(bpy.data.images)
    again, mesh_again = deliver(newer, glb)
    assert (len(bpy.data.materials), len(bpy.data.images)) == (materials, images)
    assert again == thing
    assert len(bpy.data.objects) == 3
    assert len(bpy.data.collections) == 1
    assert len(bpy.data.meshes) == 2
    assert again.data.name == "a red apple splats"
    np.testing.assert_allclose(vertices(again)[:, 0], 2 * newer.means[:, 0] + 13, atol=1e-5)
    reveal(again, mesh_again)
    assert np.isclose(vertices(mesh_again)[:, 0].max(), 2 * TRIANGLE[:, 0].max() + 13)


def test_one_of_the_two_is_shown(glb):
    thing, mesh = deliver(splats(), glb)
    assert shown_role(JOB) == "splats"
    assert (thing.hide_render, mesh.hide_render, mesh.hide_viewport) == (False, True, True)
    show_only(JOB, "mesh")
    assert shown_role(JOB) == "mesh"
    assert (thing.hide_render, mesh.hide_render, mesh.hide_viewport) == (True, False, False)


def test_the_cubes_leave_the_viewport_to_the_live_view_and_stay_in_renders(tmp_path):
    thing, _ = deliver(splats())
    modifier, before = thing.modifiers["Splats"], render(tmp_path)
    hide_cubes(True)
    assert (modifier.show_viewport, modifier.show_render) == (False, True)
    after = render(tmp_path)
    assert before.max() > 0.1
    np.testing.assert_array_equal(after, before)
    hide_cubes(False)
    assert modifier.show_viewport


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"means": np.full((20, 3), np.nan)}, "no numbers"), ({"sh": np.zeros((20, 0, 3))}, "without colours")],
)
def test_a_useless_result_is_refused_and_nothing_is_made(changes, says):
    with pytest.raises(ResultError, match=says):
        deliver(splats(**changes))
    assert not bpy.data.collections
    assert not bpy.data.objects


def test_a_damaged_mesh_is_refused(glb):
    with pytest.raises(MeshFileError):
        deliver(splats(), Mesh(job=JOB, to_scene=TO_SCENE, glb=glb.glb[:100]))


def test_a_mesh_comes_where_the_gltf_add_on_is_switched_off(glb):
    bpy.ops.preferences.addon_disable(module="io_scene_gltf2")
    _, mesh = deliver(splats(), glb)
    assert len(mesh.data.polygons) == 1
    assert "gltf" not in dir(bpy.ops.import_scene)  # as the artist left it
    assert "io_scene_gltf2" not in bpy.context.preferences.addons
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")


def test_a_mesh_that_cannot_be_read_leaves_the_splats_and_the_older_mesh(glb):
    place()
    _, mesh = deliver(splats(), glb)
    before, count = mesh.data, len(bpy.data.objects)
    with pytest.raises(MeshFileError):
        deliver(splats(35), Mesh(job=JOB, to_scene=TO_SCENE, glb=glb.glb[:100]))
    assert len(find_object(JOB, "splats").data.vertices) == 35
    assert (find_object(JOB, "mesh").data, len(bpy.data.objects)) == (before, count)
    assert shown_role(JOB) == "splats"


def test_a_newer_result_without_a_mesh_leaves_the_older_mesh_to_the_artist(glb):
    place()
    _, mesh = deliver(splats(), glb)
    bevel = mesh.modifiers.new("Bevel", "BEVEL")
    show_only(JOB, "mesh")
    splats_now, none = deliver(splats(35))
    assert (none, find_object(JOB, "mesh"), shown_role(JOB)) == (None, None, None)
    assert (mesh.name, mesh.modifiers[0]) == ("a red apple mesh (earlier)", bevel)
    assert mesh.hide_viewport
    assert mesh.hide_render
    assert not splats_now.hide_viewport
    _, newest = deliver(splats(), glb)
    assert newest not in (None, mesh)


def test_a_second_import_is_one_mesh_whatever_the_artist_has_made_of_the_first(glb):
    place()
    _, mesh = deliver(splats(), glb)
    plain = bpy.data.materials.new("plain")
    plain.use_nodes = False
    mesh.data.materials[0] = plain
    mesh.data.materials.append(None)
    bevel = mesh.modifiers.new("Bevel", "BEVEL")
    deliver(splats(), glb)
    assert [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.get("splatsmith_role") == "mesh"] == [
        mesh
    ]
    assert len(bpy.data.objects) == 3
    assert mesh.modifiers[0] == bevel
    assert mesh.data.materials[0].node_tree
    assert mesh.data.name == "a red apple mesh"

    double = mesh.copy()  # a linked duplicate keeps what it shows
    del double["splatsmith_role"]
    bpy.context.scene.collection.objects.link(double)
    shown_there = double.data
    deliver(splats(), glb)
    assert double.data == shown_there
    assert len(double.data.polygons) == len(find_object(JOB, "mesh").data.polygons) == 1


def test_a_mesh_that_was_made_a_curve_is_replaced_by_the_newer_one(glb):
    place()
    _, mesh = deliver(splats(), glb)
    reveal(mesh)
    bpy.context.view_layer.objects.active = mesh
    mesh.select_set(True)
    bpy.ops.object.convert(target="CURVE")
    assert find_object(JOB, "mesh").type == "CURVE"
    _, newer = deliver(splats(), glb)
    assert newer.type == "MESH"
    assert len(bpy.data.objects) == 3


def test_splats_that_cannot_be_read_hold_up_no_others():
    collection = bpy.data.collections.new("a cloud")
    bpy.context.scene.collection.children.link(collection)
    collection["splatsmith_job"] = "f" * 32
    cloud = bpy.data.objects.new("native", bpy.data.pointclouds.new("native"))  # as Blender 5.3 has them
    cloud["splatsmith_role"] = "splats"
    collection.objects.link(cloud)
    thing, _ = deliver(splats())
    assert [job for job, _ in placing.splat_objects()] == ["f" * 32, JOB]
    assert timer._draw_one()
    assert list(live_view.clouds) == [JOB]
    assert not timer._draw_one()
    live_view.clouds.clear()
    thing.data.attributes.remove(thing.data.attributes["splat_scale"])
    thing.data.attributes.new("splat_scale", "FLOAT", "POINT")  # by hand, and of another kind
    assert not timer._draw_one()
