"""The colours of the selected objects: materials, images, colour attributes."""

import math

import bpy
import numpy as np
import pytest
from selections import HALF, RED, area, material, seen, select, signed_volume, told

from blender_addon.scene.selected_mesh import selected_mesh


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


@pytest.mark.parametrize(
    ("kind", "value", "colour"),
    [("Float", 0.5, HALF), ("Int", 1, (255, 255, 255, 255)), ("Vector", (1, 0, 0), RED), ("Color", (1, 0, 0, 1), RED)],
)
def test_a_colour_from_a_number_or_a_vector_of_a_group_is_the_one_that_blender_makes_of_it(cube, kind, value, colour):
    inner = bpy.data.node_groups.new("Paint", "ShaderNodeTree")
    inner.interface.new_socket("Value", in_out="INPUT", socket_type=f"NodeSocket{kind}")
    inner.interface.new_socket("Colour", in_out="OUTPUT", socket_type="NodeSocketColor")
    inner.links.new(inner.nodes.new("NodeGroupInput").outputs[0], inner.nodes.new("NodeGroupOutput").inputs[0])
    painted = material("Painted", (0, 0, 1, 1))
    group = painted.node_tree.nodes.new("ShaderNodeGroup")
    group.node_tree = inner
    group.inputs[0].default_value = value
    painted.node_tree.links.new(group.outputs[0], painted.node_tree.nodes["Principled BSDF"].inputs["Base Color"])
    cube.data.materials.append(painted)
    assert seen() == {colour}


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
    mesh = told([f"{skin.name}: only the first of its picture's UDIM tiles was read; bake them to a single picture."])
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
    assert seen("Cube: the colour attribute Paint is left out, because no material of it shows it.") == {RED}
