"""Where results stand: rows and grids, the empties that hold them, and what an import makes of a job's results."""

import math

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector
from samples import TRIANGLE, random_splats

from blender_addon import timer
from blender_addon.net.state import Delivery
from blender_addon.scene import placing
from blender_addon.scene.importers.mesh import MeshFileError
from blender_addon.scene.placing import (
    find,
    find_collection,
    free_spot,
    make_place,
    remove_place,
    result_offsets,
    short,
    world_matrix,
)
from blender_addon.scene.results import ResultError, hide_cubes, place_result, show_only, shown_role
from blender_addon.shared.messages import JobState, Mesh, Splats
from blender_addon.view.live_view import live_view

JOB = "0123456789abcdef" * 2
TO_SCENE = ((2.0, 0.0, 0.0, 10.0), (0.0, 2.0, 0.0, 0.0), (0.0, 0.0, 2.0, 1.0), (0.0, 0.0, 0.0, 1.0))
ORIGIN = Vector((10, 0, 1))


def state(job=JOB, **changes):
    told = {
        "job": job,
        "state": "done",
        "prompt": "a red apple",
        "objective": "vdm",
        "seed": 2**40,
        "created": 1.0,
        "step": 3,
    }
    told |= {"of": 3, "has_splats": True, "has_mesh": True}
    return JobState(to_scene=TO_SCENE, **(told | changes))


def splats(count=20, seed=0, final=True, **changes):
    drawn = random_splats(count, seed=seed)
    arrays = {
        "means": drawn["means"],
        "quats": drawn["quats"] / np.linalg.norm(drawn["quats"], axis=1, keepdims=True),
        "scales": np.exp(drawn["log_scales"]),
        "opacities": 1 / (1 + np.exp(-drawn["opacity_logits"])),
        "sh": drawn["sh"],
    }
    arrays = {name: value.astype(np.float32) for name, value in (arrays | changes).items()}
    return Splats(job=JOB, step=3, final=final, to_scene=TO_SCENE, **arrays)


def place(offset=(0, 0, 0)):
    return make_place(bpy.context.scene, JOB, "a red apple", 7, Vector(offset), ORIGIN, radius=2.0)


def deliver(splats, mesh=None):
    done = place_result(bpy.context.scene, Delivery(mesh is not None, splats, mesh), state(), "0.1.0")
    bpy.context.view_layer.update()
    return done


def reveal(*things):
    """Blender moves no hidden objects."""
    for thing in things:
        thing.hide_viewport = False
    bpy.context.view_layer.update()


def vertices(thing):
    return np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])


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


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (4, 4, 1), (5, 3, 2), (9, 3, 3), (16, 4, 4)])
def test_variations_stand_apart_in_a_row_or_a_grid(count, columns, rows):
    points = np.array(result_offsets(count, radius=2.0))
    assert len(points) == count
    assert tuple(points[0]) == (0, 0, 0)
    assert points[:, 0].max() == 5.0 * (columns - 1)
    assert points[:, 1].max() == 5.0 * (rows - 1)
    assert len({tuple(point) for point in points}) == count


def test_the_next_result_stands_beside_those_there_are():
    assert free_spot(Vector((1, 2, 3)), 1.0) == Vector((1, 2, 3))
    place(offset=Vector((1, 2, 3)) - ORIGIN)
    assert free_spot(Vector((1, 2, 3)), 1.0) == Vector((3.5, 2, 3))
    assert free_spot(Vector((1, 9, 3)), 1.0) == Vector((1, 9, 3))


def test_splats_and_mesh_stand_where_the_backend_says_moved_with_their_place(glb):
    sent = splats()
    empty = place(offset=(0, 5, 0))
    assert empty.name == "a red apple · seed 7"
    assert empty.show_name
    thing, mesh = deliver(sent, glb)
    expected = 2 * sent.means + (10, 5, 1)
    np.testing.assert_allclose(vertices(thing), expected, atol=1e-5)
    reveal(mesh)
    x, y, z = TRIANGLE.T
    upright = 2 * np.c_[x, -z, y] + (10, 5, 1)
    np.testing.assert_allclose(sorted(vertices(mesh).tolist()), sorted(upright.tolist()), atol=1e-5)
    empty.matrix_world = Matrix.Translation((0, 0, 0)) @ Matrix.Rotation(math.pi / 2, 4, "Z")
    bpy.context.view_layer.update()
    turned = np.c_[-2 * sent.means[:, 1], 2 * sent.means[:, 0], 2 * sent.means[:, 2]]
    np.testing.assert_allclose(vertices(thing), turned, atol=1e-5)
    assert np.allclose(world_matrix(JOB, TO_SCENE), thing.matrix_world)  # the live view draws there too


def test_without_a_place_it_stands_where_the_backend_says(glb):
    sent = splats()
    thing, _ = deliver(sent, glb)
    np.testing.assert_allclose(vertices(thing), 2 * sent.means + (10, 0, 1), atol=1e-5)


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


def test_a_place_is_taken_away_with_its_collection_but_never_with_a_result():
    place()
    remove_place(JOB)
    assert not bpy.data.objects
    assert not bpy.data.collections
    place()
    deliver(splats())
    remove_place(JOB)
    assert find(JOB, "splats")
    assert find(JOB, "place")


def test_things_are_found_after_the_file_was_saved_and_opened(tmp_path):
    place()
    deliver(splats())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert find(JOB, "splats") is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert find(JOB, "splats").parent == find(JOB, "place")
    assert [job for job, _ in placing.splat_objects()] == [JOB]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("a\n red\tapple", "a red apple"), ("🍎" * 40, "🍎" * 12), ("\x00\x1b", "Splatsmith"), ("  ", "Splatsmith")],
)
def test_any_prompt_gives_a_name(prompt, name):
    assert short(prompt, 50) == name


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
    assert len(find(JOB, "splats").data.vertices) == 35
    assert (find(JOB, "mesh").data, len(bpy.data.objects)) == (before, count)
    assert shown_role(JOB) == "splats"


def test_a_newer_result_without_a_mesh_leaves_the_older_mesh_to_the_artist(glb):
    place()
    _, mesh = deliver(splats(), glb)
    bevel = mesh.modifiers.new("Bevel", "BEVEL")
    show_only(JOB, "mesh")
    splats_now, none = deliver(splats(35))
    assert (none, find(JOB, "mesh"), shown_role(JOB)) == (None, None, None)
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
    assert len(double.data.polygons) == len(find(JOB, "mesh").data.polygons) == 1


def test_a_mesh_that_was_made_a_curve_is_replaced_by_the_newer_one(glb):
    place()
    _, mesh = deliver(splats(), glb)
    reveal(mesh)
    bpy.context.view_layer.objects.active = mesh
    mesh.select_set(True)
    bpy.ops.object.convert(target="CURVE")
    assert find(JOB, "mesh").type == "CURVE"
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


def test_a_result_whose_place_was_deleted_takes_its_spot_all_the_same():
    deliver(splats())
    assert free_spot(ORIGIN, 1.0) == ORIGIN + Vector((2.5, 0, 0))
