"""The material and the Geometry Nodes that show splats as an object, from Blender 4.2 on.

A Gaussian seen along a ray with direction d is, at most, `exp(-½ (|q|² - (q·d)²))`, where q is any point of the ray
in the splat's own space, in standard deviations, and d has length 1 there: the squared distance of the ray from
the centre does not change along the ray.  So the surface that the ray meets does not matter, as long as it encloses
the splat, and a cube of 12 triangles gives the exact alpha, where a sphere would clip what the flat faces of
its mesh cut off.  The cube has half-size 1 and is scaled by RADIUS standard deviations: q = RADIUS · p.
"""

from __future__ import annotations

from typing import Any, cast

import bpy

from ..blender_types import Node, Socket, tree_of

RADIUS = 3.0  # standard deviations from the centre to the faces of the cube

# Attributes of the points, read by the nodes and, through the instances, by the material.
ROTATION, SCALE, RGBA = "splat_rotation", "splat_scale", "splat_rgba"


def splat_material() -> bpy.types.Material:
    """The one material of all splat objects: emission, with the alpha of the module's first paragraph."""
    name = "Splatsmith splat"
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.surface_render_method = "BLENDED"
    material.use_backface_culling = True
    tree = tree_of(material)
    tree.nodes.clear()
    colour: Node = tree.nodes.new("ShaderNodeAttribute")
    colour.attribute_name, colour.attribute_type = RGBA, "INSTANCER"
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(colour.outputs["Color"], emission.inputs["Color"])
    mix = tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(_alpha(tree, colour.outputs["Alpha"]), mix.inputs[0])
    tree.links.new(tree.nodes.new("ShaderNodeBsdfTransparent").outputs[0], mix.inputs[1])
    tree.links.new(emission.outputs[0], mix.inputs[2])
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    return material


def _alpha(tree: bpy.types.NodeTree, opacity: Socket) -> Socket:
    """opacity · exp(-½ RADIUS² (|p|² - (p·d)²)), and 0 on the far side of the cube."""

    def vector(operation: str, *inputs: Socket) -> Node:
        return _operation(tree, "ShaderNodeVectorMath", operation, inputs)

    def number(operation: str, *inputs: Socket | float) -> Socket:
        return _operation(tree, "ShaderNodeMath", operation, inputs).outputs[0]

    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    to_object: Node = tree.nodes.new("ShaderNodeVectorTransform")
    to_object.vector_type, to_object.convert_from, to_object.convert_to = "VECTOR", "WORLD", "OBJECT"
    tree.links.new(geometry.outputs["Incoming"], to_object.inputs[0])
    d = vector("NORMALIZE", to_object.outputs[0]).outputs[0]
    p = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
    p_squared = vector("DOT_PRODUCT", p, p).outputs["Value"]
    p_along_d = vector("DOT_PRODUCT", p, d).outputs["Value"]
    from_centre = number("SUBTRACT", p_squared, number("MULTIPLY", p_along_d, p_along_d))
    gaussian = number("EXPONENT", number("MULTIPLY", from_centre, -0.5 * RADIUS**2))
    near_side = number("SUBTRACT", 1.0, geometry.outputs["Backfacing"])
    return number("MULTIPLY", number("MULTIPLY", gaussian, opacity), near_side)


def splat_nodes() -> bpy.types.NodeTree:
    """The one node group of all splat objects: a cube on each point.

    The instances stay instances: the material needs each one's own space, and 10,000 cubes cost the memory of one.
    """
    name = "Splatsmith splats"
    if name in bpy.data.node_groups:
        return bpy.data.node_groups[name]
    groups: Any = bpy.data.node_groups  # the stubs know no kinds of trees
    tree: Any = groups.new(name, "GeometryNodeTree")
    tree.is_modifier = True
    for in_out in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=in_out, socket_type="NodeSocketGeometry")
    cube: Node = tree.nodes.new("GeometryNodeMeshCube")
    cube.inputs["Size"].default_value = (2, 2, 2)
    dressed: Node = tree.nodes.new("GeometryNodeSetMaterial")
    dressed.inputs["Material"].default_value = splat_material()
    tree.links.new(cube.outputs["Mesh"], dressed.inputs["Geometry"])
    size = _operation(tree, "ShaderNodeVectorMath", "SCALE", (_attribute(tree, SCALE, "FLOAT_VECTOR"),))
    size.inputs["Scale"].default_value = RADIUS
    instances = tree.nodes.new("GeometryNodeInstanceOnPoints")
    tree.links.new(tree.nodes.new("NodeGroupInput").outputs[0], instances.inputs["Points"])
    tree.links.new(dressed.outputs[0], instances.inputs["Instance"])
    tree.links.new(_attribute(tree, ROTATION, "QUATERNION"), instances.inputs["Rotation"])
    tree.links.new(size.outputs[0], instances.inputs["Scale"])
    tree.links.new(instances.outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0])
    return cast(bpy.types.NodeTree, tree)


def _attribute(tree: bpy.types.NodeTree, name: str, data_type: str) -> Socket:
    node: Node = tree.nodes.new("GeometryNodeInputNamedAttribute")
    node.data_type = data_type
    node.inputs["Name"].default_value = name
    return next(socket for socket in node.outputs if socket.enabled and socket.name == "Attribute")


def _operation(tree: bpy.types.NodeTree, kind: str, operation: str, inputs: tuple[Socket | float, ...]) -> Node:
    """A (vector) maths node with its inputs linked or set."""
    node: Node = tree.nodes.new(kind)
    node.operation = operation
    for socket, value in zip(node.inputs, inputs, strict=False):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node
