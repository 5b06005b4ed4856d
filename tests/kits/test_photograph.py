"""Pictures against what geometry and the light say they must be."""

import math

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import SimpleMaterial

from backend.kits.photograph import AMBIENT, DIRECT, LIGHT, photograph
from backend.kits.textures import averaged
from backend.priors.grid import FOV, FRAMING, SIDE, grid_cameras
from backend.scenes.meshes import Surface
from tests.kits.conftest import painted

ABOVE = 40  # the first of the cameras at 65 degrees, straight over the front
RED, BLUE = (255, 0, 0), (0, 0, 255)


def surface(*meshes):
    return Surface(list(meshes), [], False)


@pytest.fixture(scope="module")
def ball():
    """A white ball within a red one within another white one, 2 % of the radius between them, off the origin."""
    shells = [((255, 255, 255), 1.0), (RED, 0.98), ((255, 255, 255), 0.96)]
    made = [painted(trimesh.creation.icosphere(5, radius), colour) for colour, radius in shells]
    return photograph(surface(*(mesh.apply_translation((5, 6, 7)) for mesh in made)))


def test_a_ball_fills_the_circle_that_perspective_says(ball):
    assert ball.shape == (48, SIDE, SIDE, 4)
    assert ball.dtype == np.uint8
    half = math.asin(math.sin(math.radians(FOV / 2)) / FRAMING)
    radius = SIDE / 2 * math.tan(half) / math.tan(math.radians(FOV / 2))
    covered = (ball[..., 3] / 255).sum((1, 2))
    np.testing.assert_allclose(covered, math.pi * radius**2, rtol=0.03)


def test_the_middle_of_a_white_ball_is_as_bright_as_the_light_makes_it(ball):
    towards = torch.nn.functional.normalize(grid_cameras().positions, dim=-1).numpy()
    facing = towards @ (np.array(LIGHT) / np.linalg.norm(LIGHT))
    expected = 255 * (AMBIENT + DIRECT * facing)[facing > 0]
    middle = ball[facing > 0, 60:68, 60:68, :3].mean((1, 2, 3))
    np.testing.assert_allclose(middle, expected, atol=4)


def test_a_layer_just_below_a_surface_is_hidden(ball):
    inside = ball[ball[..., 3] == 255][:, :3].astype(int)
    assert (inside[:, 0] - inside[:, 1] > 40).mean() < 0.002


def test_a_doubled_sheet_has_its_own_colour_on_each_side():
    def quad(faces, colour):
        corners = [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]
        return painted(trimesh.Trimesh(corners, faces, process=False), colour)

    twice = [quad([[0, 1, 2], [0, 2, 3]], RED), quad([[0, 2, 1], [0, 3, 2]], BLUE)]
    views = photograph(surface(*twice))
    from_above, from_below = views[ABOVE], views[0]
    for view, colour in ((from_above, 0), (from_below, 2)):
        solid = view[view[..., 3] == 255][:, :3]
        assert len(solid) > 100
        assert (solid.argmax(1) == colour).mean() > 0.98


def test_faces_are_lit_on_the_side_that_is_seen(coarse):
    box = trimesh.creation.box((1, 1, 1))
    inside_out = trimesh.Trimesh(box.vertices, box.faces[:, ::-1], process=False)
    one, other = (photograph(surface(painted(mesh, (180, 180, 180)))) for mesh in (box, inside_out))
    np.testing.assert_allclose(one[..., :3].mean((1, 2)), other[..., :3].mean((1, 2)), atol=1.5)


def test_a_fine_texture_becomes_its_mean():
    checks = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    corners, faces = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]]
    material = SimpleMaterial(image=Image.fromarray(checks).convert("RGB"))
    uv = np.array(corners, float)[:, :2]
    mesh = trimesh.Trimesh(corners, faces, visual=TextureVisuals(uv=uv, material=material), process=False)
    raw, soft = (s.sample(500, np.random.default_rng(0))[2] for s in (surface(mesh), averaged(surface(mesh), 0.02)))
    assert raw.std() > 0.1
    np.testing.assert_allclose(soft, 0.5, atol=0.01)
    assert averaged(surface(mesh), 1e-4).meshes[0] is mesh  # as fine as it is


def test_bare_points_keep_their_colours(coarse):
    points = trimesh.creation.icosphere(4).vertices
    cloud = trimesh.PointCloud(points, colors=np.tile([10, 200, 40, 255], (len(points), 1)))
    views = photograph(Surface([], [cloud], False))
    np.testing.assert_allclose(np.median(views[views[..., 3] == 255], 0)[:3], (10, 200, 40), atol=3)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_pictures(ball):
    mesh = painted(trimesh.creation.icosphere(5), (255, 255, 255))
    here, there = (photograph(surface(mesh), device).astype(float) for device in ("cpu", "cuda"))
    assert np.abs(here - there).mean() < 0.5
