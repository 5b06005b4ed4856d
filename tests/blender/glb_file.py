"""What is in a GLB file, by the standard library alone."""

import json
import struct

import numpy as np

KINDS = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Glb:
    """The JSON of a file as `scene`, and its parts in world coordinates as Blender has them, Z up."""

    def __init__(self, file):
        content = file.read_bytes()
        (length,) = struct.unpack("<I", content[12:16])
        self.scene = json.loads(content[20 : 20 + length])
        self._bytes = content[28 + length :]

    @property
    def nodes(self):
        return [node for node in self.scene["nodes"] if "mesh" in node]

    def primitives(self):
        return [primitive for mesh in self.scene["meshes"] for primitive in mesh["primitives"]]

    def attribute(self, number):
        accessor = self.scene["accessors"][number]
        view, width = self.scene["bufferViews"][accessor["bufferView"]], WIDTHS[accessor["type"]]
        count = accessor["count"] * width
        values = np.frombuffer(self._bytes, KINDS[accessor["componentType"]], count, view.get("byteOffset", 0))
        return values.reshape(-1, width)

    def points(self):
        """Every vertex (N,3)."""
        found = []
        for node in self.nodes:
            assert "children" not in node
            for primitive in self.scene["meshes"][node["mesh"]]["primitives"]:
                local = self.attribute(primitive["attributes"]["POSITION"]) * node.get("scale", (1, 1, 1))
                x, y, z, w = node.get("rotation", (0, 0, 0, 1))
                q = np.array((x, y, z))
                turned = local + 2 * np.cross(q, np.cross(q, local) + w * local)
                found.append(turned + node.get("translation", (0, 0, 0)))
        x, y, z = np.concatenate(found).T
        return np.stack([x, -z, y], 1)

    def colours(self):
        """The base colour of each material, rounded; "image" where there is one."""
        looks = [material.get("pbrMetallicRoughness", {}) for material in self.scene.get("materials", ())]
        plain = (1, 1, 1, 1)
        return [
            "image" if "baseColorTexture" in look else tuple(np.round(look.get("baseColorFactor", plain), 2).tolist())
            for look in looks
        ]
