"""Meshes in PLY files: polygons of any size, colours of vertices and faces, pictures."""

import struct

import numpy as np
import pytest
import torch
from mesh_colours import CORNERS, colours, halves, is_red_then_green

from backend.scenes.initial import from_mesh
from backend.scenes.meshes import load_surface


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
