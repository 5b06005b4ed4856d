"""Colours in files of every kind, however they are written: what is read, and the notes on what cannot be."""

import json
import struct
import sys

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from backend.scenes.file_resolver import map_kd
from backend.scenes.initial import from_mesh
from backend.scenes.meshes import load_surface

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
RED, GREEN = (255, 0, 0), (0, 255, 0)
HALF = 0.7354  # sRGB of half of the light


def halves(file, left=RED, right=GREEN):
    """A picture whose halves differ."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = left, right
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(file)


def colours(path, expected_notes=0):
    """The mean colours of the left and the right half (x in the file), each of one colour, and the notes."""
    notes = []
    generator = torch.Generator().manual_seed(0)
    splats, matrix = from_mesh(path, 800, generator, notes.append)
    assert len(notes) == expected_notes, notes
    x = splats.means @ matrix[0, :3] + matrix[0, 3]
    found = []
    for side in (x < 0.45, x > 0.55):
        inner = splats.rgb[side & ((x - 0.0).abs() > 0.05) & ((x - 1).abs() > 0.05)]
        assert inner.std(0).max() < 0.03
        found.append(inner.mean(0).tolist())
    return found


def is_red_then_green(found):
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 1, 0]], atol=0.02)
    return True


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


OBJ = "mtllib {mtl}\n" + "".join(f"v {x} {y} {z}{{paint}}\n" for x, y, z in CORNERS)
OBJ += "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl My Wood\nf 1/1 2/2 3/3 4/4\n"


def obj(folder, mtl, paint="", name="a.mtl"):
    (folder / "a.obj").write_text(OBJ.format(mtl=name, paint=paint))
    if mtl is not None:
        (folder / "a.mtl").write_text(f"newmtl My Wood\nKd 0.8 0.8 0.8\n{mtl}\n")
    return folder / "a.obj"


@pytest.mark.parametrize(
    "written",
    [
        "map_Kd textures/My Wood.png",
        "map_Kd textures\\My Wood.png",
        "map_Kd C:\\Users\\me\\My Wood.png",
        "map_Kd /home/me/My%20Wood.png",
        "MAP_KD Textures/MY WOOD.PNG",
        "map_Kd -s 1 1 1 textures/My Wood.png",
        "map_Kd -s 1.0 1 -o 0 0 0 -clamp on -mm 0 1 -bm 0.5 textures\\my wood.png",
        '\tmap_Kd "textures/My Wood.png"',
    ],
)
def test_pictures_of_an_mtl_are_found_as_they_are_written(tmp_path, written):
    halves(tmp_path / "textures" / "My Wood.png")
    assert is_red_then_green(colours(obj(tmp_path, written)))


def test_an_mtl_s_scale_and_offset_move_the_picture(tmp_path):
    halves(tmp_path / "wood.png", GREEN, RED)
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd -o 0.5 0 0 -s 1 2 1 wood.png")))


def test_names_that_look_like_numbers_stay_whole():
    assert map_kd("-s 1 1 1 3 chairs.png") == ("3 chairs.png", (1, 1), (0, 0))
    assert map_kd("-o 0.5 2.png") == ("2.png", (1, 1), (0.5, 0))
    assert map_kd("-s 2 -blendu off wood.png") == ("wood.png", (2, 1), (0, 0))


@pytest.mark.parametrize("name", ["A.MTL", "a.mtl", "gone.mtl a.mtl"])
def test_the_material_file_is_found(tmp_path, name):
    halves(tmp_path / "wood.png")
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd wood.png", name=name)))


def test_several_material_files_count(tmp_path):
    halves(tmp_path / "wood.png")
    (tmp_path / "b.mtl").write_text("newmtl Other\nKd 1 1 1\n")
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd wood.png", name="b.mtl\nmtllib a.mtl")))


@pytest.mark.parametrize(
    ("mtl", "says"),
    [
        ("map_Kd gone.png", "the picture gone.png is not in the folder of a.obj"),
        ("map_Kd a.obj", "the picture a.obj cannot be read"),
        (None, "My Wood cannot be found in a.mtl"),
    ],
)
def test_missing_files_of_an_obj_are_reported(tmp_path, mtl, says):
    assert load_surface(obj(tmp_path, mtl)).notes == (f"Some colours of a.obj could not be read: {says}.",)


@pytest.mark.parametrize(("paint", "seen"), [(" 0 0 1", (0, 0, 1)), (" 1 1 1", (0.8, 0.8, 0.8))])
def test_vertex_colours_of_an_obj_with_uvs_go_before_a_plain_material(tmp_path, paint, seen):
    """White ones say nothing."""
    np.testing.assert_allclose(colours(obj(tmp_path, "", paint)), [seen] * 2, atol=0.01)


def ply(path, form, vertex, face, rows, polygons, extra=""):
    """A PLY of vertices with such properties, and polygons of such ones, each (indices, further values)."""
    head = ["ply", f"format {form} 1.0", *([extra] if extra else []), f"element vertex {len(rows)}", *vertex]
    head += [f"element face {len(polygons)}", "property list uchar int vertex_indices", *face, "end_header"]
    if form == "ascii":
        lines = [" ".join(map(str, row)) for row in rows]
        lines += [" ".join(map(str, [len(corners), *corners, *more])) for corners, more in polygons]
        path.write_text("\n".join([*head, *lines]) + "\n")
        return path
    order = ">" if "big" in form else "<"
    codes = {"float": "f", "uchar": "B", "ushort": "H", "int": "i"}
    layout = order + "".join(codes[line.split()[1]] for line in vertex)
    body = b"".join(struct.pack(layout, *row) for row in rows)
    after = "".join(codes[line.split()[1]] for line in face if "list" not in line)
    for corners, more in polygons:
        body += struct.pack(f"{order}B{len(corners)}i", len(corners), *corners)
        if more:
            body += struct.pack(order + (after or f"B{len(more) - 1}f"), *more)
    path.write_bytes("\n".join(head).encode() + b"\n" + body)
    return path


XYZ = ["property float x", "property float y", "property float z"]
RGB = ["property uchar red", "property uchar green", "property uchar blue"]
FORMS = ["ascii", "binary_little_endian", "binary_big_endian"]
# A strip of a quad, a triangle and a pentagon, one unit high, three long and with a gable of half a unit.
STRIP = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0), (3, 0, 0), (3, 1, 0), (2, 1.5, 0)]
MIXED = [(0, 1, 2, 3), (1, 4, 2), (2, 4, 5, 6, 7)]


@pytest.mark.parametrize("form", FORMS)
def test_polygons_of_any_size_are_read(tmp_path, form):
    file = ply(tmp_path / "a.ply", form, XYZ, RGB, STRIP, [(corners, (255, 0, 0)) for corners in MIXED])
    (mesh,) = load_surface(file).meshes
    assert len(mesh.faces) == 2 + 1 + 3
    assert mesh.area == pytest.approx(3.5)
    np.testing.assert_allclose(mesh.face_normals, [[0, 0, 1]] * 6, atol=1e-9)
    splats, _ = from_mesh(file, 100, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(splats.rgb, [[1, 0, 0]] * len(splats), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "most"), [("uchar", 255), ("float", 1), ("ushort", 65535)])
def test_vertex_colours_beside_uvs_are_seen_as_blender_writes_them(tmp_path, form, kind, most):
    vertex = [*XYZ, *(f"property {kind} {c}" for c in ("red", "green", "blue", "alpha")), "property float s"]
    rows = [(*corner, most, 0, 0, most, 0.5, 0.5) for corner in STRIP]
    file = ply(tmp_path / "a.ply", form, [*vertex, "property float t"], [], rows, [(c, ()) for c in MIXED])
    splats, _ = from_mesh(file, 100, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(splats.rgb, [[1, 0, 0]] * len(splats), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("of_corners", [True, False])
def test_the_picture_of_a_ply_is_laid_on(tmp_path, form, of_corners):
    halves(tmp_path / "My Wood.png")
    extra = "comment TextureFile My%20Wood.png"
    uv = [(x, y) for x, y, _ in CORNERS.tolist()]
    if of_corners:
        flat = [value for pair in uv for value in pair]
        polygons, face, rows, vertex = (
            [((0, 1, 2, 3), (8, *flat))],
            ["property list uchar float texcoord"],
            CORNERS,
            XYZ,
        )
    else:
        vertex, face = [*XYZ, "property float u", "property float v"], []
        rows, polygons = [(*corner, *pair) for corner, pair in zip(CORNERS, uv, strict=True)], [((0, 1, 2, 3), ())]
    assert is_red_then_green(colours(ply(tmp_path / "a.ply", form, vertex, face, rows, polygons, extra)))
    (tmp_path / "My Wood.png").unlink()
    (note,) = load_surface(tmp_path / "a.ply").notes
    assert "My%20Wood.png is not in the folder of a.ply" in note


def test_a_million_mixed_polygons_take_seconds(tmp_path):
    import time

    count = 200_000
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex 8\n{chr(10).join(XYZ)}\n"
    head += f"element face {3 * count}\nproperty list uchar uint vertex_indices\nend_header\n"
    body = b"".join(struct.pack(f"<B{len(corners)}I", len(corners), *corners) for corners in MIXED)
    (tmp_path / "a.ply").write_bytes(head.encode() + np.array(STRIP, "<f4").tobytes() + body * count)
    began = time.monotonic()
    (mesh,) = load_surface(tmp_path / "a.ply").meshes
    assert len(mesh.faces) == 6 * count
    assert time.monotonic() - began < 20


def test_the_run_tells_what_is_left_out(tmp_path):
    """Through the command line, with its own words, once."""
    import subprocess

    file = obj(tmp_path, "map_Kd gone.png")
    command = [sys.executable, "-m", "backend", "generate", "--prompt", "a red apple", "--init-mesh", str(file)]
    done = subprocess.run([*command, "--steps", "1", "--out", str(tmp_path / "out")], capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr
    assert " ".join(done.stderr.split()).count("the picture gone.png is not in the folder of a.obj") == 1
    notes = json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"]
    assert "Some colours of a.obj could not be read: the picture gone.png is not in the folder of a.obj." in notes


def test_a_material_of_ours_still_reads(tmp_path):
    """The GLB that we write ourselves."""
    halves(tmp_path / "wood.png")
    visual = trimesh.visual.TextureVisuals(
        CORNERS[:, :2], material=PBRMaterial(baseColorTexture=Image.open(tmp_path / "wood.png"))
    )
    trimesh.Trimesh(CORNERS, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False).export(tmp_path / "a.glb")
    assert is_red_then_green(colours(tmp_path / "a.glb"))
