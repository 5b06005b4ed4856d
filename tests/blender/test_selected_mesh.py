"""The selected objects as one mesh, against what is known of cubes."""

import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from selections import RED, add_cube, area, material, select, signed_volume, told

from blender_addon.scene import selected_mesh as module
from blender_addon.scene.corner_colours import PLAIN
from blender_addon.scene.selected_mesh import SceneMeshError, selected_mesh


@pytest.mark.parametrize(
    ("scale", "volume"), [((1, 1, 1), 8), ((1, 2, 3), 48), ((-1, 1, 1), 8), ((-1, -2, -3), 48)], ids=str
)
def test_a_cube_keeps_its_place_size_and_outside(cube, scale, volume):
    turn = Matrix.Rotation(0.7, 4, "X") @ Matrix.Rotation(0.3, 4, "Z")
    cube.matrix_world = Matrix.Translation((5, -2, 1)) @ turn @ Matrix.Diagonal((*scale, 1))
    bpy.context.view_layer.update()
    mesh = selected_mesh(bpy.context)
    assert (mesh.vertices.shape, mesh.vertices.dtype) == ((8, 3), np.float32)
    assert (mesh.faces.shape, mesh.faces.dtype) == ((12, 3), np.int32)
    assert mesh.colours is None
    np.testing.assert_allclose(mesh.vertices.mean(0), (5, -2, 1), atol=1e-5)
    assert math.isclose(signed_volume(mesh), volume, rel_tol=1e-5)  # positive: the faces look outwards


def test_modifiers_and_edits_under_way_count(cube):
    cube.modifiers.new("Array", "ARRAY").count = 3
    assert math.isclose(area(selected_mesh(bpy.context)), 72, rel_tol=1e-6)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.transform.resize(value=(2, 2, 2))
    assert math.isclose(area(selected_mesh(bpy.context)), 288, rel_tol=1e-6)
    bpy.ops.object.mode_set(mode="OBJECT")


def test_instances_of_a_collection_are_in_it(cube):
    cube.data.materials.append(material("red", (1, 0, 0, 1)))
    inside = bpy.data.collections.new("Inside")
    inside.objects.link(cube)
    bpy.context.scene.collection.objects.unlink(cube)
    empty = bpy.data.objects.new("Shows", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", inside
    empty.matrix_world = Matrix.Translation((10, 0, 0)) @ Matrix.Diagonal((-1, 2, 1, 1))
    bpy.context.scene.collection.objects.link(empty)
    select(empty)
    mesh = told([])
    assert math.isclose(signed_volume(mesh), 16, rel_tol=1e-5)
    np.testing.assert_allclose((mesh.vertices.min(0), mesh.vertices.max(0)), ((9, -2, -1), (11, 2, 1)), atol=1e-5)
    assert {tuple(colour) for colour in mesh.colours} == {RED}


def test_instances_of_geometry_nodes_are_in_it():
    from test_kit_sources import scatter

    thing = scatter()
    bpy.context.scene.collection.objects.link(thing)
    select(thing)
    mesh = told([])
    assert len(mesh.faces) == 2 + 9 * 12
    assert math.isclose(signed_volume(mesh), 9, rel_tol=1e-4)


def test_what_shows_no_faces_is_named(cube):
    bpy.ops.curve.primitive_bezier_circle_add()
    bare = bpy.context.object
    bpy.ops.object.light_add()
    select(cube, bare, bpy.context.object)
    assert len(told([f"{bare.name} is left out, because it shows no faces."]).faces) == 12


def test_splats_are_named_and_refused_alone(cube):
    from samples import random_splats, write_ply

    from blender_addon.scene.importers.splats import import_splats
    from blender_addon.scene.ply import read_ply

    file = write_ply(Path(bpy.app.tempdir) / "splats.ply", random_splats(5))
    splats = import_splats(read_ply(file), "Old", bpy.context.scene.collection)
    select(cube, splats)
    assert len(told(["Old is left out, because it is made of splats: take the mesh of that result."]).faces) == 12
    select(splats)
    with pytest.raises(SceneMeshError, match=r"Old is made of splats: select the mesh of that result\."):
        selected_mesh(bpy.context)


def test_a_large_selection_takes_seconds(cube):
    import time

    cube.modifiers.new("Subdivision", "SUBSURF").levels = 8
    cube.data.materials.append(material("red", (1, 0, 0, 1)))
    began = time.monotonic()
    assert len(selected_mesh(bpy.context).faces) == 12 * 4**8
    assert time.monotonic() - began < 20


def test_several_objects_become_one_mesh(cube):
    cube.data.materials.append(material("red", (1, 0, 0, 1)))
    plain = add_cube(size=4)
    select(cube, plain)
    mesh = selected_mesh(bpy.context)
    assert math.isclose(area(mesh), 24 + 96, rel_tol=1e-6)
    assert {tuple(colour) for colour in mesh.colours} == {RED, PLAIN}
    large = np.abs(mesh.vertices).max(1) > 1.5
    assert {tuple(colour) for colour in mesh.colours[large]} == {PLAIN}


def test_a_curve_counts_by_its_faces_and_a_thing_without_any_is_passed_over(cube):
    bpy.ops.curve.primitive_bezier_circle_add()
    bare = bpy.context.object
    select(cube, bare)
    assert len(selected_mesh(bpy.context).faces) == 12
    bare.data.dimensions, bare.data.fill_mode, bare.data.extrude = "2D", "BOTH", 0.1
    assert len(selected_mesh(bpy.context).faces) > 12


def test_an_object_linked_from_another_file_counts(cube, tmp_path):
    file = tmp_path / "library.blend"
    bpy.data.libraries.write(str(file), {cube})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(file), link=True) as (there, here):
        here.objects = there.objects
    (linked,) = here.objects
    bpy.context.scene.collection.objects.link(linked)
    linked.select_set(True)
    assert math.isclose(signed_volume(selected_mesh(bpy.context)), 8, rel_tol=1e-6)


def nothing_selected(cube):
    select()


def only_a_camera(cube):
    bpy.ops.object.camera_add()


def no_faces(cube):
    cube.data.clear_geometry()


def modifiers_give_none(cube):
    cube.modifiers.new("Mask", "MASK").vertex_group = cube.vertex_groups.new(name="nothing").name


def scaled_to_nothing(cube):
    cube.scale.z = 0


def not_a_number(cube):
    cube.data.vertices[0].co.x = math.nan


def too_many(cube):
    cube.modifiers.new("Subdivision", "SUBSURF").levels = 4  # 3072 triangles


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (nothing_selected, "No mesh object is selected"),
        (only_a_camera, "No mesh object is selected"),
        (no_faces, "Cube has no faces"),
        (modifiers_give_none, "The modifiers of Cube leave no faces"),
        (scaled_to_nothing, "Cube is scaled to nothing"),
        (not_a_number, "no numbers"),
        (too_many, "more than 3,000 triangles"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(cube, monkeypatch, spoil, says):
    monkeypatch.setattr(module, "TRIANGLE_LIMIT", 3000)
    spoil(cube)
    bpy.context.view_layer.update()
    with pytest.raises(SceneMeshError, match=says) as caught:
        selected_mesh(bpy.context)
    assert str(caught.value).endswith(".")
