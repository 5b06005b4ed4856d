"""Colours in glTF: vertex colours, factors, textures and their UVs, and the notes on missing pictures."""

import json
import struct

import numpy as np
import pytest
import trimesh
from mesh_colours import CORNERS, HALF, colours, halves, is_red_then_green
from PIL import Image
from trimesh.visual.material import PBRMaterial

from backend.scenes.meshes import load_surface


def glb(path, attributes, material, images=(), indices=(0, 1, 2, 0, 2, 3), **more):
    """A GLB of one primitive; attributes are float arrays, or (array, normalized) of whole numbers."""
    arrays = {name: given if isinstance(given, np.ndarray) else given[0] for name, given in attributes.items()}
    parts = [array.tobytes() for array in arrays.values()]
    parts += [np.array(indices, "<u2").tobytes()]
    kinds = {"f": 5126, "B": 5121, "H": 5123}
    accessors = [
        {
            "bufferView": i,
            "componentType": kinds[array.dtype.char],
            "count": len(array),
            "type": f"VEC{array.shape[1]}",
            "normalized": array.dtype.kind == "u",
        }
        for i, array in enumerate(arrays.values())
    ]
    accessors.append({"bufferView": len(arrays), "componentType": 5123, "count": len(indices), "type": "SCALAR"})
    primitive = {"attributes": {name: i for i, name in enumerate(arrays)}, "indices": len(arrays)}
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        **more,
    }
    if material is not None:
        tree["materials"], primitive["material"] = [material], 0
    if images:
        tree["images"], tree["textures"] = list(images), [{"source": i} for i in range(len(images))]
    starts = np.cumsum([0, *(len(part) + -len(part) % 4 for part in parts)]).tolist()
    tree["bufferViews"] = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(part)} for start, part in zip(starts, parts, strict=False)
    ]
    tree["buffers"] = [{"byteLength": starts[-1]}]
    body = b"".join(part + b"\0" * (-len(part) % 4) for part in parts)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    size = 28 + len(text) + len(body)
    head = struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
    path.write_bytes(head + text + struct.pack("<II", len(body), 0x004E4942) + body)
    return path


PLACE = {"POSITION": CORNERS.astype("<f4")}
UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")  # v downwards, as glTF has it
TEXTURED = {"name": "Wood", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}


@pytest.mark.parametrize("kind", ["f", "B", "H"])
@pytest.mark.parametrize("material", [None, {"name": "White"}, {"pbrMetallicRoughness": {"metallicFactor": 0}}])
def test_vertex_colours_beside_a_material_are_seen(tmp_path, kind, material):
    """glTF's COLOR_0 is linear and multiplies, written as floats, bytes or sixteen bits."""
    most = {"f": 1, "B": 255, "H": 65535}[kind]
    paint = (np.array([[0.5, 0, 0, 1]] * 4) * most).astype(kind)
    attributes = PLACE | {"COLOR_0": paint, "TEXCOORD_0": UV}
    found = colours(glb(tmp_path / "a.glb", attributes, material))
    np.testing.assert_allclose(found, [[HALF, 0, 0]] * 2, atol=0.01)


def test_vertex_colours_factor_and_texture_are_multiplied(tmp_path):
    halves(tmp_path / "wood.png", (255, 255, 255), (255, 255, 255))
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.5, 1, 1, 1]}}
    attributes = PLACE | {"COLOR_0": np.array([[1, 0.5, 0, 1]] * 4, "<f4"), "TEXCOORD_0": UV}
    found = colours(glb(tmp_path / "a.glb", attributes, material, [{"uri": "wood.png"}]))
    np.testing.assert_allclose(found, [[HALF, HALF, 0]] * 2, atol=0.01)


@pytest.mark.parametrize("name", ["my wood.png", "wood%.png", "Holz ä.png"])
@pytest.mark.parametrize("quoted", [True, False])
def test_pictures_are_found_by_names_with_spaces(tmp_path, name, quoted):
    from urllib.parse import quote

    halves(tmp_path / "textures" / name)
    uri = f"textures/{quote(name) if quoted else name}"
    file = glb(tmp_path / "a.glb", PLACE | {"TEXCOORD_0": UV}, TEXTURED, [{"uri": uri}])
    assert is_red_then_green(colours(file))


def test_the_texture_s_own_uvs_count(tmp_path):
    halves(tmp_path / "wood.png")
    turned = np.ascontiguousarray(1 - UV)
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}}
    attributes = PLACE | {"TEXCOORD_0": turned, "TEXCOORD_1": UV}
    assert is_red_then_green(colours(glb(tmp_path / "a.glb", attributes, material, [{"uri": "wood.png"}])))


@pytest.mark.parametrize(
    ("transform", "uv"),
    [
        ({"scale": [0.5, 1], "offset": [0.5, 0]}, (2 * UV - [[1, 0]]) * [[1, 0.5]]),
        ({"rotation": np.pi / 2}, UV[:, ::-1] * [[-1, 1]]),  # (u, v) -> (v, -u): the specification's turn
        ({"texCoord": 1, "offset": [0.5, 0]}, UV - [[0.5, 0]]),
    ],
)
def test_uvs_are_transformed_as_khr_texture_transform_says(tmp_path, transform, uv):
    halves(tmp_path / "wood.png")
    info = {"index": 0, "extensions": {"KHR_texture_transform": transform}}
    channel = f"TEXCOORD_{transform.get('texCoord', 0)}"
    attributes = PLACE | {"TEXCOORD_0": np.full((4, 2), 0.9, "<f4"), channel: np.ascontiguousarray(uv).astype("<f4")}
    material = {"pbrMetallicRoughness": {"baseColorTexture": info}}
    file = glb(tmp_path / "a.glb", attributes, material, [{"uri": "wood.png"}])
    assert is_red_then_green(colours(file))


def test_a_missing_picture_is_reported_in_one_sentence(tmp_path):
    file = glb(tmp_path / "a.glb", PLACE | {"TEXCOORD_0": UV}, TEXTURED, [{"uri": "gone.png"}])
    (note,) = load_surface(file).notes
    assert note == "Some colours of a.glb could not be read: the picture of Wood is missing or of an unknown kind."
    file = glb(tmp_path / "b.glb", PLACE, TEXTURED, [{"uri": "gone.png"}])
    assert len(load_surface(file).notes) == 1


def test_a_material_written_by_us_is_read(tmp_path):
    """A GLB as our export writes it."""
    halves(tmp_path / "wood.png")
    visual = trimesh.visual.TextureVisuals(
        CORNERS[:, :2], material=PBRMaterial(baseColorTexture=Image.open(tmp_path / "wood.png"))
    )
    trimesh.Trimesh(CORNERS, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False).export(tmp_path / "a.glb")
    assert is_red_then_green(colours(tmp_path / "a.glb"))
