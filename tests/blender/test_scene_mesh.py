"""The selected objects as one mesh, against what is known of cubes."""

import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_addon.scene import selected_mesh as scene_mesh
from blender_addon.scene.corner_colours import PLAIN
from blender_addon.scene.selected_mesh import SceneMeshError, selected_mesh

RED, HALF = (255, 0, 0, 255), (188, 188, 188, 255)  # sRGB of linear 0.5


@pytest.fixture
def cube():
    return add_cube()


def add_cube(size=2.0):
    bpy.ops.mesh.primitive_cube_add(size=size)
    return bpy.context.object


def material(name, colour):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
    return made


def select(*things):
    bpy.ops.object.select_all(action="DESELECT")
    for thing in things:
        thing.select_set(True)


def signed_volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def area(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


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


def test_materials_colour_faces_and_stay_crisp_where_they_meet(cube):
    cube.data.materials.append(material("red", (1, 0, 0, 1)))
    cube.data.materials.append(material("half", (0.5, 0.5, 0.5, 1)))
    cube.data.polygons[0].material_index = 1
    mesh = selected_mesh(bpy.context)
    assert len(mesh.vertices) == 12  # the four around that face are there in both colours
    assert {tuple(colour) for colour in mesh.colours} == {RED, HALF}
    of_face = [{tuple(mesh.colours[v]) for v in face} for face in mesh.faces]
    assert sorted(len(colours) for colours in of_face) == [1] * 12
    assert sum(colours == {HALF} for colours in of_face) == 2
    assert math.isclose(signed_volume(mesh), 8, rel_tol=1e-6)


def told(notes):
    """The selection's mesh, once these notes are the ones that it comes with."""
    found = []
    mesh = selected_mesh(bpy.context, found)
    assert found == list(notes)
    return mesh


def seen(*notes):
    """The colours of the selection."""
    return {tuple(colour) for colour in told(notes).colours.tolist()}


def feed(made, kind, output=0, into="Principled BSDF", socket="Base Color"):
    tree = made.node_tree
    node = tree.nodes.new(kind)
    tree.links.new(node.outputs[output], tree.nodes[into].inputs[socket])
    return node


def halves(name="Halves", left=(1, 0, 0, 1), right=(0, 1, 0, 1)):
    """An image of 8 x 8 pixels whose halves differ."""
    image = bpy.data.images.new(name, 8, 8)
    image.pixels.foreach_set(np.tile(np.repeat([left, right], 4, axis=0), (8, 1)).astype(np.float32).ravel())
    return image


@pytest.fixture
def plane():
    """Two metres wide, its UVs once over it."""
    bpy.ops.mesh.primitive_plane_add(size=2)
    return bpy.context.object


def pictured(plane, image):
    wood = material("Wood", (0, 0, 1, 1))
    node = feed(wood, "ShaderNodeTexImage")
    node.image = image
    plane.data.materials.append(wood)
    return wood, node


def sides(mesh):
    """The colours left and right of the middle, at some distance from it and from the border."""
    x = mesh.vertices[:, 0]
    return [np.unique(mesh.colours[(s * x > 0.1) & (s * x < 0.9)], axis=0).tolist() for s in (-1, 1)]


RED_GREEN = [[[255, 0, 0, 255]], [[0, 255, 0, 255]]]


def test_an_image_texture_is_seen_where_it_lies(plane):
    pictured(plane, halves())
    mesh = told([])
    assert sides(mesh) == RED_GREEN
    assert math.isclose(area(mesh), 4, rel_tol=1e-5)
    assert 5_000 < len(mesh.faces) < 200_000
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2
    assert (counts == 1).sum() < 2000  # its border, and where the halves meet: no soup


@pytest.mark.parametrize("through", ["reroute", "group", "diffuse", "mix", "muted"])
def test_an_image_is_found_through_what_artists_put_between(plane, through):
    wood, node = pictured(plane, halves())
    tree, principled = wood.node_tree, wood.node_tree.nodes["Principled BSDF"]
    output = tree.nodes["Material Output"]
    if through == "reroute":
        knot = tree.nodes.new("NodeReroute")
        tree.links.new(node.outputs[0], knot.inputs[0])
        tree.links.new(knot.outputs[0], principled.inputs["Base Color"])
    elif through == "muted":
        hue = tree.nodes.new("ShaderNodeHueSaturation")
        hue.mute = True
        tree.links.new(node.outputs[0], hue.inputs["Color"])
        tree.links.new(hue.outputs[0], principled.inputs["Base Color"])
    elif through == "group":
        inner = bpy.data.node_groups.new("Shader", "ShaderNodeTree")
        inner.interface.new_socket("Colour", in_out="INPUT", socket_type="NodeSocketColor")
        inner.interface.new_socket("Out", in_out="OUTPUT", socket_type="NodeSocketShader")
        start, end = inner.nodes.new("NodeGroupInput"), inner.nodes.new("NodeGroupOutput")
        diffuse = inner.nodes.new("ShaderNodeBsdfDiffuse")
        inner.links.new(start.outputs[0], diffuse.inputs["Color"])
        inner.links.new(diffuse.outputs[0], end.inputs[0])
        group = tree.nodes.new("ShaderNodeGroup")
        group.node_tree = inner
        tree.links.new(node.outputs[0], group.inputs[0])
        tree.links.new(group.outputs[0], output.inputs["Surface"])
    else:
        diffuse = tree.nodes.new("ShaderNodeBsdfDiffuse")
        tree.links.new(node.outputs[0], diffuse.inputs["Color"])
        shader = diffuse
        if through == "mix":
            shader = tree.nodes.new("ShaderNodeMixShader")
            tree.links.new(tree.nodes.new("ShaderNodeBsdfTransparent").outputs[0], shader.inputs[1])
            tree.links.new(diffuse.outputs[0], shader.inputs[2])
        tree.links.new(shader.outputs[0], output.inputs["Surface"])
    assert sides(told([])) == RED_GREEN


def test_a_picture_s_own_uvs_and_mapping_count(plane):
    wood, node = pictured(plane, halves(left=(0, 1, 0, 1), right=(1, 0, 0, 1)))
    tree = wood.node_tree
    uv, mapping = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeMapping")
    second = plane.data.uv_layers.new(name="Second")
    plane.data.uv_layers[0].active_render = True
    for corner, layer in enumerate(plane.data.uv_layers[0].uv):
        second.uv[corner].vector = layer.vector
        layer.vector = (0.1, 0.1)
    uv.uv_map, mapping.inputs["Location"].default_value = "Second", (0.5, 0, 0)
    tree.links.new(uv.outputs[0], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs[0], node.inputs["Vector"])
    assert sides(told([])) == RED_GREEN


def test_plain_colours_are_found_wherever_they_come_from(cube):
    red = material("red", (0, 0, 1, 1))
    feed(red, "ShaderNodeRGB").outputs[0].default_value = (1, 0, 0, 1)
    cube.data.materials.append(red)
    assert seen() == {RED}
    tree = red.node_tree
    diffuse = tree.nodes.new("ShaderNodeBsdfDiffuse")
    diffuse.inputs["Color"].default_value = (0.5, 0.5, 0.5, 1)
    tree.links.new(diffuse.outputs[0], tree.nodes["Material Output"].inputs["Surface"])  # the other one is not seen
    assert seen() == {HALF}


def test_what_is_not_seen_as_it_is_is_told_once(cube):
    noise, gone, changed = material("Noise", RED), material("Gone", RED), material("Changed", RED)
    feed(noise, "ShaderNodeTexNoise", "Color")
    feed(gone, "ShaderNodeTexImage")
    feed(changed, "ShaderNodeTexImage").image = halves(right=(1, 0, 0, 1))
    tree = changed.node_tree
    hue = feed(changed, "ShaderNodeHueSaturation")
    tree.links.new(next(n for n in tree.nodes if n.type == "TEX_IMAGE").outputs[0], hue.inputs["Color"])
    for number, made in enumerate((noise, gone, changed)):
        made.diffuse_color = (0.5, 0.5, 0.5, 1)
        cube.data.materials.append(made)
        cube.data.polygons[number].material_index = number
    copy = cube.copy()
    bpy.context.scene.collection.objects.link(copy)
    select(cube, copy)
    assert seen(
        "Noise: its colour is made by nodes, so its viewport colour was taken; bake it.",
        "Gone: its colour is made by a picture that is not there, so its viewport colour was taken; bake it.",
        "Changed: nodes between its picture and its colour were left out; bake it.",
    ) == {HALF, RED}


def test_of_a_picture_in_udim_tiles_the_first_is_read_and_that_is_told(plane, tmp_path):
    for tile, colour in ((1001, (1, 0, 0, 1)), (1002, (0, 1, 0, 1))):
        part = halves(left=colour, right=colour)
        part.filepath_raw, part.file_format = str(tmp_path / f"skin.{tile}.png"), "PNG"
        part.save()
    tiled = bpy.data.images.load(str(tmp_path / "skin.1001.png"))
    tiled.source, tiled.filepath = "TILED", str(tmp_path / "skin.<UDIM>.png")
    tiled.tiles.new(1002)
    skin, _ = pictured(plane, tiled)
    mesh = told([f"{skin.name}: of its picture's UDIM tiles only the first was read; bake it to a picture of one."])
    assert {tuple(colour) for colour in mesh.colours.tolist()} == {RED}


def paint(thing, colour, kind="FLOAT_COLOR", domain="POINT", first=None):
    attribute = thing.data.color_attributes.new("Paint", kind, domain)
    for number, item in enumerate(attribute.data):
        item.color = colour if number or first is None else first


@pytest.mark.parametrize("shows", ["nothing", "untouched", "attribute", "vertex colour"])
@pytest.mark.parametrize("domain", ["POINT", "CORNER"])
@pytest.mark.parametrize("kind", ["BYTE_COLOR", "FLOAT_COLOR"])
def test_a_colour_attribute_is_seen_where_the_material_shows_it_or_nobody_touched_it(cube, domain, kind, shows):
    if shows != "nothing":
        made = material("Made", (0.8, 0.8, 0.8, 1) if shows == "untouched" else (1, 0, 0, 1))
        cube.data.materials.append(made)
        if shows == "attribute":
            feed(made, "ShaderNodeAttribute").attribute_name = "Paint"
        elif shows == "vertex colour":
            feed(made, "ShaderNodeVertexColor").layer_name = "Paint"
    paint(cube, (0.5, 0.5, 0.5, 1), kind, domain, first=(0, 0, 1, 1))
    mesh = told([])
    values, counts = np.unique(mesh.colours, axis=0, return_counts=True)
    assert values.tolist() == [[0, 0, 255, 255], list(HALF)]
    assert counts.tolist() == [1, 7 if domain == "POINT" else 8]
    assert math.isclose(area(mesh), 24, rel_tol=1e-6)


def test_a_colour_attribute_that_no_material_shows_does_not_beat_it(cube):
    cube.data.materials.append(material("red", (1, 0, 0, 1)))
    paint(cube, (1, 1, 1, 1))
    assert seen() == {RED}  # white says nothing
    cube.data.color_attributes.remove(cube.data.color_attributes[0])
    paint(cube, (0, 0, 1, 1))
    assert seen("Cube: the colour attribute Paint is left out, for no material of it shows it.") == {RED}


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
    from test_kit_things import scatter

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
    assert len(told([f"{bare.name} is left out, for it shows no faces."]).faces) == 12


def test_splats_are_named_and_refused_alone(cube):
    from samples import random_splats, write_ply

    from blender_addon.scene.importers.splats import import_splats
    from blender_addon.scene.ply import read_ply

    file = write_ply(Path(bpy.app.tempdir) / "splats.ply", random_splats(5))
    splats = import_splats(read_ply(file), "Old", bpy.context.scene.collection)
    select(cube, splats)
    assert len(told(["Old is left out, for it is made of splats: take the mesh of that result."]).faces) == 12
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
    monkeypatch.setattr(scene_mesh, "TRIANGLE_LIMIT", 3000)
    spoil(cube)
    bpy.context.view_layer.update()
    with pytest.raises(SceneMeshError, match=says) as caught:
        selected_mesh(bpy.context)
    assert str(caught.value).endswith(".")
