"""What a kit is made of: which objects are one thing, and what of each is in its GLB."""

import math

import bpy
import numpy as np
import pytest
from glb_file import Glb

from blender_addon.net.kit_maker import ExportError
from blender_addon.scene.kit_sources import asset_sources, export_source, sources_of
from blender_addon.scene.placing import ROLE

KINDS = ("objects", "meshes", "materials", "scenes", "images", "collections", "node_groups")


def scene():
    return bpy.context.scene


def cube(name="Cube", parent=None, **place):
    bpy.ops.mesh.primitive_cube_add(size=2, **place)
    thing = bpy.context.object
    thing.name, thing.parent = name, parent
    return thing


def material(name, colour=(1, 0, 0, 1), viewport=(0, 1, 0, 1)):
    made = bpy.data.materials.new(name)
    made.use_nodes, made.diffuse_color = True, viewport
    made.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
    return made


def feed(material, node, output=0, into="Principled BSDF", socket="Base Color"):
    tree = material.node_tree
    made = tree.nodes.new(node)
    tree.links.new(made.outputs[output], tree.nodes[into].inputs[socket])
    return made


def exported(tmp_path, *objects, own_front=True, notes=()):
    """The file of the one thing that these objects are; the artist's file is as it was afterwards."""

    def state():
        selected = [thing.name for thing in bpy.context.selected_objects]
        counts = [len(getattr(bpy.data, kind)) for kind in KINDS]
        return counts, selected, bpy.context.view_layer.name, scene().name, bpy.context.object

    (thing,) = sources_of(objects)
    before = state()
    assert export_source(thing, tmp_path / "thing.glb", own_front) == list(notes)
    assert state() == before
    return Glb(tmp_path / "thing.glb")


def test_what_hangs_together_is_one_thing_under_the_name_of_what_carries_it(tmp_path):
    root, other = bpy.data.objects.new("Car", None), cube("Stone", location=(9, 0, 0))
    scene().collection.objects.link(root)
    body = cube("Body", root)
    wheel = cube("Wheel", body, location=(0, 0, -3))
    bpy.ops.object.light_add()
    bpy.ops.object.empty_add()
    found = sources_of(scene().objects)
    assert {thing.name: len(thing.parts) for thing in found} == {"Stone": 1, "Car": 3}
    assert [thing.name for thing in sources_of([wheel, other])] == ["Wheel", "Stone"]
    assert sources_of([root]) == []
    points = exported(tmp_path, root, body, wheel).points()
    np.testing.assert_allclose((points.min(0), points.max(0)), ((-1, -1, -4), (1, 1, 1)), atol=1e-5)


def test_modifiers_and_instances_of_every_kind_are_in_it(tmp_path):
    thing = cube("Row", location=(5, 0, 0))
    thing.modifiers.new("Array", "ARRAY").count = 3
    assert len(exported(tmp_path, thing).points()) == 3 * 24
    inside = bpy.data.collections.new("Inside")
    inside.objects.link(bpy.data.objects.new("Child", thing.data))
    empty = bpy.data.objects.new("Shows", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", inside
    scene().collection.objects.link(empty)
    assert len(exported(tmp_path, empty).points()) == 24
    text = bpy.data.objects.new("Text", bpy.data.curves.new("Text", "FONT"))
    text.data.body = "chair"
    assert len(exported(tmp_path, text).points()) > 50
    assert len(exported(tmp_path, scatter()).points()) == 4 + 9 * 24


def scatter():
    """An object with 9 cubes that Geometry Nodes makes, beside its own mesh of one triangle."""
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    new = tree.nodes.new
    start, end, join = new("NodeGroupInput"), new("NodeGroupOutput"), new("GeometryNodeJoinGeometry")
    grid, box, on = new("GeometryNodeMeshGrid"), new("GeometryNodeMeshCube"), new("GeometryNodeInstanceOnPoints")
    tree.links.new(grid.outputs["Mesh"], on.inputs["Points"])
    tree.links.new(box.outputs["Mesh"], on.inputs["Instance"])
    tree.links.new(on.outputs[0], join.inputs[0])
    tree.links.new(start.outputs[0], join.inputs[0])
    tree.links.new(join.outputs[0], end.inputs[0])
    mesh = bpy.data.meshes.new("Plane")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)], [], [(0, 1, 2), (1, 3, 2)])
    thing = bpy.data.objects.new("Scatter", mesh)
    thing.modifiers.new("Nodes", "NODES").node_group = tree
    return thing


def test_its_own_front_is_the_front_however_it_is_turned(tmp_path):
    thing = cube("Chair", location=(3, 4, 5), rotation=(0, 0, math.radians(40)), scale=(3, 1, 1))
    for own_front, wide in ((True, 3.0), (False, 3 * math.cos(math.radians(40)) + math.sin(math.radians(40)))):
        points = exported(tmp_path, thing, own_front=own_front).points()
        np.testing.assert_allclose(points.max(0)[0], wide, atol=1e-4)
        np.testing.assert_allclose(points.mean(0), 0, atol=1e-4)
    thing.rotation_euler = (math.radians(90), 0, math.radians(40))  # lies on its back: that is kept
    thing.scale = (1, 1, 3)
    np.testing.assert_allclose(exported(tmp_path, thing).points().max(0), (3, 3, 1), atol=1e-4)


def test_hidden_things_and_those_of_no_scene_are_exported_all_the_same(tmp_path):
    thing = cube("Hidden")
    thing.hide_set(True)
    assert len(exported(tmp_path, thing).points()) == 24
    alone = bpy.data.objects.new("Asset", thing.data)
    alone.asset_mark()
    whole = bpy.data.collections.new("Set")
    whole.objects.link(alone)
    whole.objects.link(bpy.data.objects.new("More", thing.data))
    whole.asset_mark()
    assert {found.name: len(found.parts) for found in asset_sources()} == {"Asset": 1, "Set": 2}


def test_colours_are_those_that_are_seen(tmp_path):
    thing = cube()
    thing.data.materials.append(material("Red"))
    assert exported(tmp_path, thing).colours() == [(1, 0, 0, 1)]
    thing.material_slots[0].link = "OBJECT"
    thing.material_slots[0].material = material("Blue", (0, 0, 1, 1))
    assert exported(tmp_path, thing).colours() == [(0, 0, 1, 1)]
    diffuse = material("Old")
    node = feed(diffuse, "ShaderNodeBsdfDiffuse", into="Material Output", socket="Surface")
    node.inputs["Color"].default_value = (1, 1, 0, 1)
    diffuse.node_tree.nodes.remove(diffuse.node_tree.nodes["Principled BSDF"])
    thing.material_slots[0].material = diffuse
    assert exported(tmp_path, thing).colours() == [(1, 1, 0, 1)]
    picture = feed(diffuse, "ShaderNodeTexImage", into=node.name, socket="Color")
    picture.image = bpy.data.images.new("Wood", 8, 8)
    assert exported(tmp_path, thing).colours() == ["image"]
    flat = material("Flat")
    flat.use_nodes = False
    thing.material_slots[0].material = flat
    assert exported(tmp_path, thing).colours() in ([(0, 1, 0, 1)], [(1, 0, 0, 1)])  # 5.0 has nodes always


def test_image_textures_are_in_it(tmp_path):
    thing, wood = cube(), material("Wood")
    picture = feed(wood, "ShaderNodeTexImage")
    picture.image = bpy.data.images.new("Wood", 8, 8)
    thing.data.materials.append(wood)
    glb = exported(tmp_path, thing)
    assert glb.colours() == ["image"]
    assert glb.scene["images"][0]["mimeType"] == "image/png"
    assert "TEXCOORD_0" in glb.primitives()[0]["attributes"]


def test_colour_attributes_are_in_it_where_they_are_seen(tmp_path):
    thing, painted = cube(), material("Painted")
    for name, colour in (("Unseen", (1, 1, 1, 1)), ("Seen", (0, 0, 1, 1))):
        attribute = thing.data.color_attributes.new(name, "FLOAT_COLOR", "POINT")
        for item in attribute.data:
            item.color = colour
    assert "COLOR_0" in exported(tmp_path, thing).primitives()[0]["attributes"]  # without a material it is seen
    feed(painted, "ShaderNodeVertexColor").layer_name = "Seen"
    thing.data.materials.append(painted)
    glb = exported(tmp_path, thing)
    (primitive,) = glb.primitives()
    assert glb.colours() == []
    colours = glb.attribute(primitive["attributes"]["COLOR_0"]).astype(float)
    assert (colours[:, 2] == colours.max()).all()
    assert not colours[:, :2].any()


def test_a_colour_made_by_nodes_is_told_and_the_viewport_s_stands_for_it(tmp_path):
    thing, noise = cube(), material("Noise")
    feed(noise, "ShaderNodeTexNoise", "Color")
    thing.data.materials.append(noise)
    note = "Noise: its colour is made by nodes, so its viewport colour was taken; bake it."
    assert exported(tmp_path, thing, notes=[note]).colours() == [(0, 1, 0, 1)]


def test_the_same_object_gives_the_same_bytes(tmp_path):
    thing = scatter()
    exported(tmp_path, thing)
    first = (tmp_path / "thing.glb").read_bytes()
    exported(tmp_path, thing)
    assert (tmp_path / "thing.glb").read_bytes() == first


def test_what_cannot_be_exported_is_a_sentence_and_the_file_stays_as_it_was(tmp_path):
    bare = bpy.data.objects.new("Bare", bpy.data.meshes.new("Bare"))
    splats, gone, large = cube("Splats"), cube("Gone"), cube("Large")
    splats[ROLE] = "splats"
    for modifier in range(2):
        large.modifiers.new(str(modifier), "ARRAY").count = 500
    things = {thing.name: thing for thing in sources_of([bare, splats, gone, large])}
    bpy.data.objects.remove(gone)
    fine = cube("Fine")
    before = [len(getattr(bpy.data, kind)) for kind in KINDS]
    expected = {
        "Bare": "no faces",
        "Splats": "made of splats",
        "Gone": "not in this file",
        "Large": "more than 2,000,000",
    }
    for name, words in expected.items():
        with pytest.raises(ExportError, match=words):
            export_source(things[name], tmp_path / "thing.glb", own_front=True)
    with pytest.raises(ExportError, match="exporter refuses"):
        export_source(sources_of([fine])[0], tmp_path / "no folder" / "\0", own_front=True)
    assert scene().name == "Scene"
    assert [len(getattr(bpy.data, kind)) for kind in KINDS] == before
