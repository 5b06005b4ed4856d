"""Mesh files as a start: real files of every kind, and every way they can be wrong."""

import time
from contextlib import suppress

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from backend.scenes import meshes
from backend.scenes.initial import InitialError, from_mesh


def generator():
    return torch.Generator().manual_seed(0)


def brick():
    """2 x 4 x 6, off the origin; its bounding sphere has the radius sqrt(14)."""
    box = trimesh.creation.box((2, 4, 6))
    return box.apply_translation((10, 20, 30))


def in_world(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize("suffix", meshes.SUFFIXES)
def test_every_format_fills_the_ball_and_tells_where_it_stood(tmp_path, suffix):
    brick().export(tmp_path / f"brick{suffix}")
    splats, matrix = from_mesh(tmp_path / f"brick{suffix}", 3000, generator())
    assert len(splats) == 3000
    assert splats.finite()
    assert splats.means.norm(dim=-1).max() == pytest.approx(1, abs=0.02)
    back = in_world(matrix, splats.means)
    # What is Y-up stands in the world as Blender's importers put it.
    low, high = [9.0, 18, 27], [11.0, 22, 33]
    if suffix in meshes.Y_UP:
        low, high = [9.0, -33, 18], [11.0, -27, 22]
    low, high = torch.tensor(low), torch.tensor(high)
    assert torch.allclose(back.min(0).values, low, atol=1e-3)
    assert torch.allclose(back.max(0).values, high, atol=1e-3)
    # All samples lie on one of the six faces.
    assert torch.minimum((back - low).abs(), (back - high).abs()).min(-1).values.max() < 1e-4


@pytest.mark.parametrize(("suffix", "up"), [(".glb", 1), (".obj", 1), (".ply", 2), (".stl", 2)])
def test_up_is_up(tmp_path, suffix, up):
    """A spike along the file's up axis points along +Z."""
    spike = trimesh.creation.cone(0.3, 2.0)  # along +z, its tip is the far end
    if up == 1:
        spike.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
    spike.export(tmp_path / f"spike{suffix}")
    splats, _ = from_mesh(tmp_path / f"spike{suffix}", 2000, generator())
    tip, foot = splats.means[splats.means[:, 2] > 0.8], splats.means[splats.means[:, 2] < -0.8]
    assert tip[:, :2].norm(dim=-1).max() < foot[:, :2].norm(dim=-1).max() / 3


def textured_quad(factor=None):
    """A unit square in the picture plane: red left, green right, blue top half."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 1], pixels[:32, :, 2] = 255, 255, 255
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    material = PBRMaterial(baseColorTexture=Image.fromarray(pixels), baseColorFactor=factor)
    visual = TextureVisuals(uv=corners[:, :2], material=material)
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)


def test_texture_lands_where_it_belongs(tmp_path):
    textured_quad().export(tmp_path / "quad.glb")
    splats, matrix = from_mesh(tmp_path / "quad.glb", 2000, generator())
    u, _, v = in_world(matrix, splats.means).unbind(-1)
    expected = torch.stack([(u < 0.5).float(), (u > 0.5).float(), (v > 0.5).float()], -1)
    inside = ((u - 0.5).abs() > 0.03) & ((v - 0.5).abs() > 0.03)
    assert inside.sum() > 1500
    assert torch.allclose(splats.rgb[inside], expected[inside], atol=0.01)


def test_factor_multiplies_the_texture_in_linear_light(tmp_path):
    textured_quad(factor=[128, 128, 128, 255]).export(tmp_path / "quad.glb")
    splats, _ = from_mesh(tmp_path / "quad.glb", 500, generator())
    assert splats.rgb.max() == pytest.approx(0.737, abs=0.01)  # sRGB of 128/255 in linear light


@pytest.mark.parametrize(("suffix", "half"), [(".ply", 0.502), (".glb", 0.737)])
def test_vertex_colours_are_interpolated(tmp_path, suffix, half):
    """glTF's are linear; those of a PLY are taken as seen."""
    quad = textured_quad()
    quad.visual = ColorVisuals(quad, vertex_colors=np.tile([128, 0, 255, 255], (4, 1)).astype(np.uint8))
    quad.export(tmp_path / f"quad{suffix}")
    splats, _ = from_mesh(tmp_path / f"quad{suffix}", 100, generator())
    assert torch.allclose(splats.rgb, torch.tensor([half, 0.0, 1.0]), atol=0.005)


def test_face_colours_and_grey(tmp_path):
    box = trimesh.creation.box()
    box.export(tmp_path / "grey.stl")
    assert torch.allclose(from_mesh(tmp_path / "grey.stl", 50, generator())[0].rgb, torch.tensor(0.5), atol=1e-6)
    box.visual.face_colors = np.tile([0, 255, 0, 255], (12, 1)).astype(np.uint8)
    box.export(tmp_path / "green.ply")
    assert torch.allclose(
        from_mesh(tmp_path / "green.ply", 50, generator())[0].rgb, torch.tensor([0.0, 1, 0]), atol=1e-6
    )


def test_scene_graph_is_merged_and_instances_keep_their_places(tmp_path):
    scene = trimesh.Scene()
    colours = ([255, 0, 0, 255], [0, 0, 255, 255])
    for shift, colour in zip((-3.0, 3.0), colours, strict=True):
        box = trimesh.creation.box()
        box.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=colour))
        scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((shift, 0, 0)))
    scene.export(tmp_path / "two.glb")
    splats, _ = from_mesh(tmp_path / "two.glb", 1000, generator())
    left = splats.means[:, 0] < 0
    assert 0.4 < left.float().mean() < 0.6
    assert torch.allclose(splats.rgb[left], torch.tensor([1.0, 0, 0]), atol=1e-3)
    assert torch.allclose(splats.rgb[~left], torch.tensor([0.0, 0, 1]), atol=1e-3)


def test_bare_points_are_a_start(tmp_path):
    rng = np.random.default_rng(0)
    cloud = trimesh.PointCloud(rng.normal(size=(500, 3)), colors=np.tile([255, 0, 0, 255], (500, 1)))
    cloud.export(tmp_path / "cloud.ply")
    splats, _ = from_mesh(tmp_path / "cloud.ply", 200, generator())
    assert len(splats) == 200
    assert torch.allclose(splats.rgb, torch.tensor([1.0, 0, 0]), atol=1e-6)
    assert len(from_mesh(tmp_path / "cloud.ply", 5000, generator())[0]) == 500


def test_a_million_faces_take_seconds(tmp_path):
    side = 720
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    first = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1, 1)
    faces = np.concatenate([first + np.array(corners) for corners in ((0, 1, side), (1, side + 1, side))])
    assert len(faces) > 1_000_000
    bowl = np.stack([x, y, x**2 + y**2], -1).reshape(-1, 3)
    trimesh.Trimesh(bowl, faces, process=False).export(tmp_path / "large.ply")
    began = time.monotonic()
    splats, matrix = from_mesh(tmp_path / "large.ply", 1000, generator())
    assert time.monotonic() - began < 60
    x, y, z = in_world(matrix, splats.means).unbind(-1)
    assert torch.allclose(z, x**2 + y**2, atol=1e-4)


VERTICES = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.obj", None, "no file"),
        ("picture.png", b"x", "must be one of"),
        ("empty.obj", b"", "cannot be read|neither"),
        ("empty.glb", b"", "cannot be read"),
        ("text.glb", b"this is no mesh at all, it is a sentence", "cannot be read"),
        ("cut.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 10\n", "cannot be read"),
        ("nan.obj", (VERTICES + "v nan 0 0\nf 1 2 3\nf 1 2 4\n").encode(), "NaN or infinite"),
        ("point.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "no extent"),
        ("line.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no extent"),
        ("outside.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "do not exist|cannot be read"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InitialError, match=says) as error:
        from_mesh(tmp_path / name, 100, generator())
    assert str(error.value).startswith("init_mesh: ")
    assert "\n" not in str(error.value)


def test_too_many_faces_and_bytes_are_refused(tmp_path, monkeypatch):
    trimesh.creation.icosphere(subdivisions=3).export(tmp_path / "ball.ply")
    monkeypatch.setattr(meshes, "MOST_FACES", 1000)
    with pytest.raises(InitialError, match="1,280 faces"):
        from_mesh(tmp_path / "ball.ply", 100, generator())
    with (tmp_path / "huge.ply").open("wb") as file:
        file.truncate(meshes.MOST_BYTES + 1)  # sparse: takes no room on the disk
    with pytest.raises(InitialError, match="larger than 1 GiB"):
        from_mesh(tmp_path / "huge.ply", 100, generator())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([".glb", ".ply", ".stl", ".obj", ".off"]))
def test_damaged_files_never_end_in_another_error(tmp_path, data, suffix):
    path = tmp_path / f"damaged{suffix}"
    textured_quad().export(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(InitialError):
        assert from_mesh(path, 50, generator())[0].finite()
