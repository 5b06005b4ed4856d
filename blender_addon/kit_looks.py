"""What Blender's glTF exporter is given of a material, so that a picture shows the colours that an artist sees.

The exporter follows a Principled base colour to an image or a plain colour, and knows nothing else.  Here other
shaders become a Principled one for the time of the export, colour attributes are handed over as such, and where a
colour is made by textures that are no images, the material's viewport colour stands for it, with a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy

Colour = tuple[float, float, float, float]
ATTRIBUTES = ("ATTRIBUTE", "VERTEX_COLOR")


class Looks:
    """Stand-ins for materials; `close` takes them away, `notes` tells what they could not show."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._made: dict[str, bpy.types.Material] = {}

    def close(self) -> None:
        """Remove every stand-in."""
        for material in self._made.values():
            bpy.data.materials.remove(material)
        self._made.clear()

    def dress(self, mesh: bpy.types.Mesh, materials: list[bpy.types.Material | None]) -> None:
        """Give a mesh its materials, or the colour attribute that all of them show."""
        sources = [_colour_source(material) for material in materials if material is not None]
        names = [name for name in map(_attribute, sources) if name is not None]
        if names and len(names) == len(materials) and _activate(mesh, names[0]):
            mesh.materials.clear()  # the exporter takes the active attribute where there is no material
            return
        for slot, material in enumerate(materials):
            shown = None if material is None else self._shown(material)
            if slot < len(mesh.materials):
                mesh.materials[slot] = shown
            else:
                mesh.materials.append(shown)

    def _shown(self, material: bpy.types.Material) -> bpy.types.Material:
        """The material itself where the exporter understands it, else a stand-in."""
        source = _colour_source(material)
        if source is None:
            return self._plain(material, tuple(material.diffuse_color))
        image = next((node for node in _upstream(source) if node.type == "TEX_IMAGE" and node.image), None)
        if source.node.type == "BSDF_PRINCIPLED" and (image is not None or not source.is_linked):
            return material
        if image is None and not source.is_linked:
            return self._plain(material, tuple(source.default_value))
        if image is None:
            said = f"{material.name}: its colour is made by nodes, so its viewport colour was photographed; bake it."
            self.notes += [] if said in self.notes else [said]
            return self._plain(material, tuple(material.diffuse_color))
        stand_in = self._plain(material, (1, 1, 1, 1))
        nodes, links = stand_in.node_tree.nodes, stand_in.node_tree.links
        picture = nodes.new("ShaderNodeTexImage")
        picture.image = image.image
        links.new(picture.outputs["Color"], _principled(stand_in).inputs["Base Color"])
        return stand_in

    def _plain(self, material: bpy.types.Material, colour: Colour) -> bpy.types.Material:
        if material.name_full not in self._made:
            stand_in = bpy.data.materials.new("Splatsmith stand-in")
            if not stand_in.node_tree:
                stand_in.use_nodes = True
            _principled(stand_in).inputs["Base Color"].default_value = colour
            self._made[material.name_full] = stand_in
        return self._made[material.name_full]


def _principled(material: bpy.types.Material) -> bpy.types.Node:
    return next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")


def _colour_source(material: bpy.types.Material) -> bpy.types.NodeSocket | None:
    """Where a material's colour comes in: the Principled node, as the exporter has it, or else any other shader."""
    nodes = list(material.node_tree.nodes) if material.use_nodes and material.node_tree else []
    shaders = sorted((n for n in nodes if not n.mute), key=lambda node: node.type != "BSDF_PRINCIPLED")
    for node in shaders:
        if node.type.startswith(("BSDF", "EMISSION", "SUBSURFACE")):
            found = node.inputs.get("Base Color") or node.inputs.get("Color")
            if found is not None:
                return found
    return None


def _upstream(socket: bpy.types.NodeSocket) -> Iterator[bpy.types.Node]:
    """Every node that a socket gets its value from, those inside groups too; the nearest first."""
    waiting, seen = [link.from_node for link in socket.links], set()
    while waiting:
        node = waiting.pop(0)
        if node in seen:
            continue
        seen.add(node)
        yield node
        if node.type == "GROUP" and node.node_tree:
            waiting += list(node.node_tree.nodes)
        waiting += [link.from_node for entry in node.inputs for link in entry.links]


def _attribute(source: bpy.types.NodeSocket | None) -> str | None:
    """The colour attribute that feeds a socket directly, "" for the active one; None where it is something else."""
    node = source.links[0].from_node if source is not None and source.is_linked else None
    if node is None or node.type not in ATTRIBUTES:
        return None
    name: str = node.attribute_name if node.type == "ATTRIBUTE" else node.layer_name
    return name


def _activate(mesh: bpy.types.Mesh, name: str) -> bool:
    """Make a colour attribute the active one; whether the mesh has it."""
    colours = mesh.color_attributes
    index = colours.find(name) if name else colours.render_color_index
    if not 0 <= index < len(colours):
        return False
    colours.active_color_index = colours.render_color_index = index
    return True
