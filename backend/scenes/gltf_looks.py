"""Features of glTF that trimesh ignores: TEXCOORD_1, KHR_texture_transform, COLOR_0 together with a material.

The file's JSON is read first, and what each primitive needs is written into an extension of our own, which trimesh
passes back together with the primitive's arrays.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trimesh.exchange.gltf.extensions import register_handler

from backend.scenes.mesh_colours import COLOUR, picture_of

EXTENSION, NOTE = "SPLATSMITH_look", "splatsmith_note"
GLOSS = "KHR_materials_pbrSpecularGlossiness"
TRIANGLES = (4, 5)  # modes with faces
JSON, MAGIC = 0x4E4F534A, 0x46546C67


def prepared(content: bytes, binary: bool) -> bytes:
    """A file with our extension in its primitives; ValueError, KeyError and the like where it is damaged."""
    if not binary:
        return json.dumps(_with_extension(json.loads(content))).encode()
    magic, version, _ = struct.unpack_from("<3I", content)
    length, kind = struct.unpack_from("<2I", content, 12)
    if magic != MAGIC or version != 2 or kind != JSON:
        return content  # trimesh will report the fault
    text = json.dumps(_with_extension(json.loads(content[20 : 20 + length]))).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + length :]
    return struct.pack("<5I", MAGIC, 2, 20 + len(text) + len(rest), len(text), JSON) + text + rest


def _with_extension(tree: dict[str, Any]) -> dict[str, Any]:
    """The JSON with our extension in each primitive."""
    for mesh in tree.get("meshes", []):
        for primitive in mesh["primitives"]:
            if primitive.get("mode", 4) in TRIANGLES:
                primitive.setdefault("extensions", {})[EXTENSION] = _look(tree, primitive)
    return tree


def _look(tree: dict[str, Any], primitive: dict[str, Any]) -> dict[str, Any]:
    attributes = primitive["attributes"]
    look: dict[str, Any] = {}
    if "COLOR_0" in attributes:
        look["colour"] = attributes.pop("COLOR_0")
    if "material" not in primitive:
        return look
    material = tree["materials"][primitive["material"]]
    gloss = material.get("extensions", {}).get(GLOSS, {})
    texture = gloss.get("diffuseTexture") or material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
    if texture is None:
        return look
    transform = texture.get("extensions", {}).get("KHR_texture_transform", {})
    number = transform.get("texCoord", texture.get("texCoord", 0))
    look["material"] = material.get("name", "a material")
    look["uv"] = attributes.get(f"TEXCOORD_{number}")
    look["transform"] = {name: transform[name] for name in ("offset", "rotation", "scale") if name in transform}
    return look


@register_handler(EXTENSION, scope="primitive")  # type: ignore[untyped-decorator]
def _handle(context: dict[str, Any]) -> dict[str, Any]:
    """Handle our extension of a primitive: set the UVs, and return the vertices' colours as an attribute."""
    look, arrays, given = context["data"], context["accessors"], context["mesh_kwargs"]
    found: dict[str, Any] = {}
    if "colour" in look:
        found["vertex_attributes"] = {COLOUR: unit(arrays[look["colour"]])[:, :3]}
    visual = given.get("visual")
    if visual is None or "transform" not in look:
        return found
    if picture_of(visual.material) is None:
        found["metadata"] = {NOTE: f"the picture of {look['material']} is missing or of an unknown kind"}
    elif look["uv"] is None:
        found["metadata"] = {NOTE: f"{look['material']} has a picture, but the mesh has no UVs for it"}
        visual.uv = None
    else:
        visual.uv = transformed(unit(arrays[look["uv"]]), **look["transform"])
    return found


def unit(values: NDArray[Any]) -> NDArray[np.float64]:
    """Normalised integers as fractions of 1, as glTF defines them."""
    if values.dtype.kind == "u":
        return values / np.iinfo(values.dtype).max
    return values.astype(np.float64)


def transformed(
    uv: NDArray[np.float64],
    offset: tuple[float, float] = (0, 0),
    rotation: float = 0.0,
    scale: tuple[float, float] = (1, 1),
) -> NDArray[np.float64]:
    """glTF's UVs (N,2), v downwards, after a KHR_texture_transform, with v upwards."""
    u, v = (uv * scale).T
    cosine, sine = np.cos(rotation), np.sin(rotation)
    u, v = cosine * u + sine * v + offset[0], -sine * u + cosine * v + offset[1]
    return np.stack([u, 1 - v], 1)
