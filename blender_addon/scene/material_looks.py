"""Finds out what colour a material shows; kits and selections that a job starts from both use it.

The nodes are followed back from the material's output, through groups, reroutes and muted nodes, to the shader that
gives the colour, and from there to a plain colour, a colour attribute or an image.  What lies between is not evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from .blender_types import Node, Socket, attribute_items

Colour = tuple[float, float, float, float]
Groups = tuple[Node, ...]
SHADERS = ("BSDF", "EMISSION", "SUBSURFACE", "EEVEE_SPECULAR")
SEEN_THROUGH = ("BSDF_TRANSPARENT", "BSDF_REFRACTION")
UNTOUCHED = 0.8  # of a new material's Base Color


@dataclass(frozen=True)
class ImageTexture:
    """The image of a material: by which UVs it is mapped ("" for the active ones), and how they are transformed."""

    node: Node
    uv: str = ""
    turn: Any = field(default_factory=Matrix)  # a Matrix, which the stubs describe as a descriptor


@dataclass(frozen=True)
class Look:
    """A material's colour: an image, else a colour attribute ("" is the active one), else linear RGBA.

    `source` is the shader's socket.  `note` is a sentence if the colour differs from what the artist sees.
    """

    colour: Colour
    source: Socket | None = None
    attribute: str | None = None
    picture: ImageTexture | None = None
    note: str = ""

    @property
    def untouched(self) -> bool:
        """Whether it is still the grey of a new material."""
        plain = self.attribute is None and self.picture is None and not self.note
        return plain and bool(np.allclose(self.colour[:3], UNTOUCHED, atol=1e-3))


def look_of(material: bpy.types.Material) -> Look:
    """The colour that a material shows, without light and shadow."""
    viewport = _rgba(material.diffuse_color)
    source, groups = _colour_source(material)
    if source is None:
        return Look(viewport)
    node, at, groups = node_behind(source, groups)
    if node is None or node.type == "RGB":
        return Look(_rgba(at.default_value), source)
    if node.type == "VERTEX_COLOR" or (node.type == "ATTRIBUTE" and node.attribute_type == "GEOMETRY"):
        name = node.layer_name if node.type == "VERTEX_COLOR" else node.attribute_name
        return Look(viewport, source, attribute=name)
    picture = next((found for found in _upstream(node, groups) if found[0].type == "TEX_IMAGE"), None)
    if picture is None or not picture[0].image:
        made = "by a picture that is not there" if picture else "by nodes"
        why = f"{material.name}: its colour is made {made}, so its viewport colour was taken; bake it."
        return Look(viewport, source, note=why)
    return _image_look(material, source, picture, direct=picture[0] == node)


def _rgba(value: Any) -> Colour:
    """A socket's value as the colour that Blender makes of it: a number is a grey, and a vector has no alpha."""
    red, green, blue, *alpha = value if isinstance(value, Iterable) else (value, value, value)
    return float(red), float(green), float(blue), float(alpha[0]) if alpha else 1.0


def _image_look(material: bpy.types.Material, source: Socket, found: tuple[Node, Groups], direct: bool) -> Look:
    mapped = _mapped_image(*found)
    note = "" if direct else f"{material.name}: nodes between its picture and its colour were left out; bake it."
    if mapped is None:
        note = f"{material.name}: its picture is not mapped by UVs, so its colours may be elsewhere; bake it."
    elif (
        found[0].image.source == "TILED" and len(found[0].image.tiles) > 1
    ):  # Blender returns the pixels of the first tile
        note = f"{material.name}: only the first of its picture's UDIM tiles was read; bake them to a single picture."
    return Look((1, 1, 1, 1), source, picture=mapped or ImageTexture(found[0]), note=note)


def node_behind(socket: Socket, groups: Groups = ()) -> tuple[Node | None, Socket, Groups]:
    """The node that gives a socket its value, with its output; for a plain value None, with the socket that holds it.

    `groups` are the group nodes around the socket, the outermost first; those around the result come third.
    """
    while socket.is_linked:
        link = socket.links[0]
        node, out = link.from_node, link.from_socket
        inner = None
        if node.mute:
            inner = next((way.from_socket for way in node.internal_links if way.to_socket == out), None)
        elif node.type == "REROUTE":
            inner = node.inputs[0]
        elif node.type == "GROUP" and node.node_tree:
            ends = [end for end in node.node_tree.nodes if end.type == "GROUP_OUTPUT" and end.is_active_output]
            inner = next((s for end in ends for s in end.inputs if s.identifier == out.identifier), None)
            groups = (*groups, node) if inner is not None else groups
        elif node.type == "GROUP_INPUT" and groups:
            inner = next((s for s in groups[-1].inputs if s.identifier == out.identifier), None)
            groups = groups[:-1] if inner is not None else groups
        if inner is None:
            return node, out, groups
        socket = inner
    return None, socket, groups


def _colour_source(material: bpy.types.Material) -> tuple[Socket | None, Groups]:
    """The socket of a material's colour: that of the Principled shader among those seen, or else of the first."""
    tree = material.node_tree if material.use_nodes else None
    if tree is None:
        return None, ()
    output = tree.get_output_node("ALL")
    seen = list(_shaders(output.inputs["Surface"], ())) if output is not None else []
    loose = [(node, ()) for node in tree.nodes if not node.mute and node.type.startswith(SHADERS)]
    ranked = sorted(seen or loose, key=lambda one: (one[0].type in SEEN_THROUGH, one[0].type != "BSDF_PRINCIPLED"))
    for node, groups in ranked:
        found = node.inputs.get("Base Color") or node.inputs.get("Color")
        if found is not None:
            return found, groups
    return None, ()


def _shaders(socket: Socket, groups: Groups) -> Iterator[tuple[Node, Groups]]:
    """The shaders that are mixed into a socket, the nearest first."""
    waiting = [(socket, groups)]
    for _ in range(1000):  # a limit, because one group can occur in the tree very often
        if not waiting:
            return
        node, _, inside = node_behind(*waiting.pop(0))
        if node is None:
            continue
        if node.type.startswith(SHADERS):
            yield node, inside
        elif node.type in ("MIX_SHADER", "ADD_SHADER"):
            waiting += [(entry, inside) for entry in node.inputs if entry.type == "SHADER"]


def _upstream(node: Node, groups: Groups) -> Iterator[tuple[Node, Groups]]:
    """A node and every one that it gets its values from, the nearest first."""
    waiting, seen = [(node, groups)], set()
    while waiting:
        node, groups = waiting.pop(0)
        if node in seen:
            continue
        seen.add(node)
        yield node, groups
        fed = (node_behind(entry, groups) for entry in node.inputs if entry.is_linked)
        waiting += [(other, inside) for other, _, inside in fed if other is not None]


def _mapped_image(node: Node, groups: Groups) -> ImageTexture | None:
    """How an image node's image is mapped; None if that is not by UVs."""
    turn, entry = Matrix(), node.inputs["Vector"]
    for _ in range(16):
        before, out, groups = node_behind(entry, groups)
        if before is None or (before.type == "TEX_COORD" and out.name == "UV"):
            return ImageTexture(node, "", turn)
        if before.type == "UVMAP":
            return ImageTexture(node, before.uv_map, turn)
        if before.type == "ATTRIBUTE":
            return ImageTexture(node, before.attribute_name, turn)
        if before.type != "MAPPING" or before.vector_type not in ("POINT", "TEXTURE"):
            return None
        ways = [before.inputs[name] for name in ("Location", "Rotation", "Scale")]
        if any(way.is_linked for way in ways):
            return None
        place, angles, scale = (tuple(way.default_value) for way in ways)
        own = Matrix.LocRotScale(Vector(place), Euler(angles), Vector(scale))
        if before.vector_type == "TEXTURE":
            own = own.inverted_safe()
        turn, entry = turn @ own, before.inputs["Vector"]
    return None


def active_colour(mesh: bpy.types.Mesh) -> bpy.types.Attribute | None:
    """The active colour attribute, or the first one if none is active, as after one was removed."""
    layers = mesh.color_attributes
    return layers.active_color or (layers[0] if len(layers) else None)


def attribute_without_material(mesh: bpy.types.Mesh, looks: list[Look | None]) -> tuple[str | None, str]:
    """The colour attribute that counts although no material asks for it, and a note on one that does not count.

    It counts if there is no material, or only untouched ones, unless it is white everywhere.
    """
    attribute = active_colour(mesh)
    if attribute is None or any(look is not None and look.attribute is not None for look in looks):
        return None, ""
    if all(look is None for look in looks):
        return attribute.name, ""
    items = attribute_items(attribute)
    values = np.empty(len(items) * 4, np.float32)
    items.foreach_get("color", values)
    if (values.reshape(-1, 4)[:, :3] > 0.999).all():
        return None, ""
    if all(look is None or look.untouched for look in looks):
        return attribute.name, ""
    return None, f"the colour attribute {attribute.name} is left out, because no material of it shows it."
