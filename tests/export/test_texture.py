"""UVs, the baked texture against the painted truth, and the GLB as another program reads it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from shapes import sphere, together

from backend.cameras import orbit
from backend.export.mesh import as_surface, extract_mesh
from backend.export.texels import rasterise
from backend.export.texture import bake, depth_buffers, splat_colours, texel_points, unwrap, write_glb
from backend.export.views import all_around
from backend.studies.bench.mesh import mesh_rows, torus_colour


def decibels(picture: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(((picture - truth) ** 2).mean()))


def face_colours(mesh: trimesh.Trimesh) -> np.ndarray:
    """The colours (F,3) that a reader of the GLB sees in the middle of each face."""
    column, row = (mesh.visual.uv[mesh.faces].mean(1) * (1, -1) + (0, 1)).T
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    return texture[(row * len(texture)).astype(int), (column * len(texture)).astype(int)] / 255


def test_rasterised_triangle_covers_the_pixels_it_should():
    corners = np.array([[[0, 0, 1], [8, 0, 1], [0, 8, 1]], [[0, 0, 2], [2, 0, 2], [0, 2, 2]]], np.float32)
    faces, weights, nearness = rasterise(corners, 8, 8)
    row, column = np.mgrid[:8, :8]
    assert ((faces >= 0) == (row + column + 1 <= 8)).all()
    assert (faces[:1, :1] == 1).all()  # the nearer one wins
    assert nearness[4, 1] == 1
    x = weights[3, 2] @ corners[0, :, 0]
    assert x == pytest.approx(2.5)


def test_depth_buffer_is_the_distance_to_a_sphere():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.8)
    shape = unwrap(as_surface(ball), 64)
    depths = depth_buffers(shape, orbit(1), 64)
    assert depths[0, 32, 32] == pytest.approx(float(orbit(1).distance[0]) - 0.8, abs=0.005)
    assert np.isinf(depths[0, 0, 0])


def test_cameras_all_around_leave_no_side_out():
    positions = torch.nn.functional.normalize(all_around(32).positions, dim=-1)
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert (directions @ positions.T).max(1).values.min() > 0.85  # within 32 degrees


def test_uvs_lie_in_the_unit_square_without_overlap(ring_textured):
    shape = ring_textured.shape
    assert shape.uvs.min() >= 0
    assert shape.uvs.max() <= 1
    inside, points, _ = texel_points(shape, 512)
    edges = np.diff(shape.uvs[shape.faces], axis=1)
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]).sum() / 2
    assert inside.mean() == pytest.approx(area, rel=0.01)  # overlapping triangles would cover less than their sum
    assert area > 0.35
    assert len(points) == inside.sum()


def test_texture_is_the_painted_colour(ring_textured):
    inside, points, _ = texel_points(ring_textured.shape, 512)
    assert decibels(ring_textured.texture[inside] / 255, torus_colour(points)) > 29
    assert ring_textured.seen > 0.99


def test_gutters_repeat_the_island_beside_them(ring_textured):
    inside, _, _ = texel_points(ring_textured.shape, 512)
    texture = ring_textured.texture.astype(int)
    border = inside[:, :-1] & ~inside[:, 1:]
    assert np.abs(texture[:, 1:][border] - texture[:, :-1][border]).mean() < 8
    assert (texture.sum(-1) > 0).all()


def test_hidden_side_of_a_thing_takes_its_own_colour():
    """A red ball behind a bigger blue one that touches it: from in front it is blue all over."""
    big, small = sphere(0.5, 3000, centre=(0, -0.3, 0)), sphere(0.25, 1500, centre=(0, 0.4, 0))
    for part, colour in ((big, [-1.5, -1.5, 1.5]), (small, [1.5, -1.5, -1.5])):
        part.sh[:] = torch.tensor(colour)
    splats = together(big, small)
    textured = bake(unwrap(extract_mesh(splats, resolution=80, faces=4000), 256), splats, 256)
    inside, points, _ = texel_points(textured.shape, 256)
    blueness = textured.texture[inside][:, 2].astype(int) - textured.texture[inside][:, 0]
    assert (blueness[points[:, 1] < 0.1] > 150).mean() > 0.99
    assert (blueness[points[:, 1] > 0.25] < -150).mean() > 0.98


def test_splat_colours_follow_the_density():
    splats = sphere(0.8, 3000)
    points = splats.means[::50].numpy()
    assert np.abs(splat_colours(splats, points) - splats.rgb[::50].numpy()).max() < 0.05
    assert np.isfinite(splat_colours(splats, points * 100)).all()  # where every density underflows


def test_glb_is_upright_solid_and_painted(ring_textured, tmp_path):
    path = tmp_path / "mesh.glb"
    write_glb(ring_textured, path, "a painted ring")
    scene = trimesh.load(path)
    assert list(scene.geometry) == ["a painted ring"]
    mesh = scene.geometry["a painted ring"]
    x, y, z = ring_textured.shape.vertices.T
    assert np.allclose(mesh.bounds, [[x.min(), z.min(), -y.max()], [x.max(), z.max(), -y.min()]], atol=1e-5)
    assert mesh.visual.material.metallicFactor == 0
    assert mesh.visual.material.roughnessFactor == pytest.approx(0.9)
    assert mesh.visual.material.baseColorTexture.size == (512, 512)
    assert mesh.volume > 0
    assert (np.einsum("fi,fi->f", mesh.face_normals, mesh.vertex_normals[mesh.faces[:, 0]]) > 0).mean() > 0.99
    # As Blender imports it, (x, -z, y), every face has the colour that was painted there.
    imported = mesh.triangles_center[:, [0, 2, 1]] * (1, -1, 1)
    assert decibels(face_colours(mesh), torus_colour(imported)) > 25


def test_glb_carries_its_normals(ring_textured, tmp_path):
    write_glb(ring_textured, tmp_path / "mesh.glb", "ring")
    data = (tmp_path / "mesh.glb").read_bytes()
    assert b'"NORMAL"' in data
    start = data.index(b"\x89PNG")
    assert Image.open(io.BytesIO(data[start:])).size == (512, 512)


def test_bench_times_every_stage():
    rows = mesh_rows(count=1000, faces=1000, size=64)  # small, but the same code
    assert [row["stage"] for row in rows] == ["field", "marching cubes", "decimate", "unwrap", "bake", "glb"]
    assert all(row["seconds"] > 0 for row in rows)
