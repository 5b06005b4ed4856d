"""Stand-in materials for Blender's glTF exporter, so that a kit's photographs show the colours that the artist sees.

The exporter understands a Principled shader whose base colour is an image or a plain colour, and nothing else.  During
the export other shaders are replaced by a Principled one, and colour attributes are exported as such.  Where a colour
comes from procedural textures, the material's viewport colour is taken, with a note.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from .blender_types import Node, tree_of
from .material_looks import Colour, Look, attribute_without_material, look_of


class StandInMaterials:
    """Materials that stand in for the artist's during an export; `notes` says what they could not show."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._made: dict[str, bpy.types.Material] = {}

    def close(self) -> None:
        """Remove all stand-ins."""
        for material in self._made.values():
            bpy.data.materials.remove(material)
        self._made.clear()

    def assign(self, mesh: bpy.types.Mesh, materials: list[bpy.types.Material | None], name: str) -> None:
        """Give a mesh its materials or stand-ins, or the colour attribute that all of its materials show."""
        looks = [None if material is None else look_of(material) for material in materials]
        asked = [look.attribute for look in looks if look is not None and look.attribute is not None]
        paint, note = attribute_without_material(mesh, looks)
        if note:
            self._add_note(f"{name}: {note}")
        if paint is None and asked and len(asked) == len(materials):
            paint = asked[0]
        if paint is not None and _activate(mesh, paint):
            mesh.materials.clear()  # without materials the exporter takes the active attribute
            return
        for slot, (material, look) in enumerate(zip(materials, looks, strict=True)):
            shown = None if material is None or look is None else self._own_or_stand_in(material, look)
            if slot < len(mesh.materials):
                mesh.materials[slot] = shown
            else:
                mesh.materials.append(shown)

    def _add_note(self, note: str) -> None:
        self.notes += [] if note in self.notes else [note]

    def _own_or_stand_in(self, material: bpy.types.Material, look: Look) -> bpy.types.Material:
        """The material itself if the exporter understands it, else a stand-in."""
        if look.note:
            self._add_note(look.note)
        elif look.attribute is not None:
            self._add_note(
                f"{material.name}: its colour attribute is not on every part, so its viewport colour was taken."
            )
        if _exporter_understands(material, look):
            return material
        if look.picture is None:
            return self._plain(material, look.colour)
        stand_in = self._plain(material, (1, 1, 1, 1))
        nodes, links = tree_of(stand_in).nodes, tree_of(stand_in).links
        picture: Node = nodes.new("ShaderNodeTexImage")
        picture.image, picture.extension = look.picture.node.image, look.picture.node.extension
        links.new(picture.outputs["Color"], _principled(stand_in).inputs["Base Color"])
        laid: Node = nodes.new("ShaderNodeMapping")
        place, turn, scale = look.picture.turn.decompose()
        laid.inputs["Location"].default_value, laid.inputs["Scale"].default_value = place, scale
        laid.inputs["Rotation"].default_value = turn.to_euler()
        uv: Node = nodes.new("ShaderNodeUVMap")
        uv.uv_map = look.picture.uv
        links.new(uv.outputs["UV"], laid.inputs["Vector"])
        links.new(laid.outputs["Vector"], picture.inputs["Vector"])
        return stand_in

    def _plain(self, material: bpy.types.Material, colour: Colour) -> bpy.types.Material:
        if material.name_full not in self._made:
            stand_in = bpy.data.materials.new("Splatsmith stand-in")
            if not stand_in.node_tree:
                stand_in.use_nodes = True
            _principled(stand_in).inputs["Base Color"].default_value = colour
            self._made[material.name_full] = stand_in
        return self._made[material.name_full]


def _principled(material: bpy.types.Material) -> Node:
    nodes: Iterable[Node] = tree_of(material).nodes
    return next(node for node in nodes if node.type == "BSDF_PRINCIPLED")


def _exporter_understands(material: bpy.types.Material, look: Look) -> bool:
    """Whether the exporter finds the colour: it looks for the first Principled node's image or plain colour."""
    nodes: list[Node] = list(material.node_tree.nodes) if material.use_nodes and material.node_tree else []
    first = next((node for node in nodes if node.type == "BSDF_PRINCIPLED" and not node.mute), None)
    if look.source is None or look.source.node != first:
        return False
    return look.picture is not None or not look.source.is_linked


def _activate(mesh: bpy.types.Mesh, name: str) -> bool:
    """Make a colour attribute the active one.  Returns whether the mesh has it."""
    colours = mesh.color_attributes
    index = colours.find(name) if name else colours.render_color_index
    if not 0 <= index < len(colours):
        return False
    colours.active_color_index = colours.render_color_index = index
    return True
