"""The mesh renderer against closed forms: areas, planes, finite differences; and torch's visibility against numba's."""

import math

import numpy as np
import pytest
import torch
import trimesh

from backend.cameras import Cameras, orbit
from backend.render.mesh import MeshTopology, barycentrics, draw_mesh
from backend.render.mesh_geometry import neighbours_of, pixel_rays, seen_from
from backend.render.mesh_visibility import (
    silhouettes_by_numba,
    silhouettes_by_torch,
    visible_by_numba,
    visible_by_torch,
)

SIDE, FOCAL = 64, 60.0
IDENTITY = torch.eye(4, dtype=torch.float64)[None]
INTRINSICS = torch.tensor([[[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]]], dtype=torch.float64)


def topology(faces, uvs=None):
    faces = torch.as_tensor(np.asarray(faces), dtype=torch.int64).view(-1, 3)
    uvs = torch.full((len(faces), 3, 2), 0.5, dtype=torch.float64) if uvs is None else uvs
    return MeshTopology(faces, torch.from_numpy(neighbours_of(faces.numpy())), uvs)


def draw(vertices, faces=((0, 1, 2),), texture=None, uvs=None, side=SIDE):
    """Vertices in the camera's own axes, in float64."""
    texture = torch.ones(4, 4, 3, dtype=torch.float64) if texture is None else texture
    return draw_mesh(vertices, topology(faces, uvs), texture, IDENTITY, INTRINSICS, side, side)


def at(*pixels, z=2.0):
    """Points (V,3) at depth z, or a depth each, that are seen at these places of the picture."""
    depths = torch.tensor(z if isinstance(z, list | tuple) else [z] * len(pixels), dtype=torch.float64)
    flat = (torch.tensor(pixels, dtype=torch.float64) - SIDE / 2) / FOCAL
    return torch.cat([flat * depths[:, None], depths[:, None]], 1)


def area(pixels):
    (a, b), (c, d), (e, f) = pixels
    return abs((c - a) * (f - b) - (d - b) * (e - a)) / 2


TRIANGLES = [
    [(10.0, 8.0), (55.0, 20.0), (22.0, 58.0)],
    [(30.3, 30.2), (41.7, 29.1), (33.9, 44.4)],
    [(5.5, 5.5), (58.0, 6.2), (31.0, 60.7)],
]


@pytest.mark.parametrize("pixels", TRIANGLES)
@pytest.mark.parametrize("z", [2.0, (1.0, 2.0, 4.0)])
def test_the_coverage_of_a_triangle_is_its_area(pixels, z):
    """At 64 places, but for a pixel at the corners, whose tips are narrower than pixels."""
    shifts = [(i / 8, j / 8) for i in range(8) for j in range(8)]
    alphas = [draw(at(*((x + dx, y + dy) for x, y in pixels), z=z))[1] for dx, dy in shifts]
    errors = torch.stack([alpha.sum() for alpha in alphas]) - area(pixels)
    assert float(errors.abs().max()) < 1.5
    assert abs(float(errors.mean())) < 0.4
    assert min(float(alpha.min()) for alpha in alphas) >= 0
    assert max(float(alpha.max()) for alpha in alphas) <= 1


def test_the_coverage_of_upright_edges_is_exact():
    for left in (10.0, 10.3, 10.5, 10.9):
        square = at((left, 20), (40.25, 20), (40.25, 44), (left, 44))
        alpha = draw(square, [[0, 1, 2], [0, 2, 3]])[1][0, 30, :, 0]
        assert float(alpha.sum()) == pytest.approx(40.25 - left, abs=1e-9)


def test_sub_pixel_faces_have_the_outline_of_large_ones():
    """A square of two faces, and of 5,000 a third of a pixel wide: a walk over the surface finds the outline."""
    x, y = np.meshgrid(np.linspace(12.3, 29.6, 51), np.linspace(14.1, 31.2, 51))
    points = at(*zip(x.ravel().tolist(), y.ravel().tolist(), strict=True))
    cell = (np.arange(50)[:, None] * 51 + np.arange(50)).ravel()
    quads = np.stack([cell, cell + 1, cell + 52, cell + 51], 1)
    fine = draw(points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))[1]
    corners = at((12.3, 14.1), (29.6, 14.1), (29.6, 31.2), (12.3, 31.2))
    coarse = draw(corners, [[0, 1, 2], [0, 2, 3]])[1]
    torch.testing.assert_close(fine, coarse, atol=1e-9, rtol=0)


def test_barycentrics_are_correct_in_perspective():
    """Points on a slanted plane: what the weights interpolate is where the ray meets the plane, by its equation."""
    corners = at((10, 12), (50, 15), (25, 55), z=(1.0, 3.0, 2.0))
    normal = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    x, y = torch.rand(2, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    rays = torch.stack([x, y, torch.ones_like(x)], 1)
    truth = rays * (normal @ corners[0] / (rays @ normal))[:, None]
    weights = barycentrics(corners.expand(100, 3, 3), x, y)
    torch.testing.assert_close(weights @ corners, truth)
    torch.testing.assert_close(weights.sum(1), torch.ones(100, dtype=torch.float64))


def test_depth_and_texture_follow_the_plane():
    corners = at((4, 4), (60, 8), (20, 62), z=(1.0, 4.0, 2.0))
    ramp = torch.linspace(0.5 / 16, 1 - 0.5 / 16, 16, dtype=torch.float64)
    texture = torch.stack([ramp.expand(16, 16), ramp.flip(0)[:, None].expand(16, 16), torch.zeros(16, 16)], -1).double()
    uvs = torch.tensor([[[0.2, 0.3], [0.8, 0.4], [0.5, 0.7]]], dtype=torch.float64)
    rgb, alpha, depth = draw(corners, texture=texture, uvs=uvs)
    i, j = torch.nonzero(alpha[0, :, :, 0] == 1, as_tuple=True)
    x, y = ((v + 0.5 - SIDE / 2) / FOCAL for v in (j.double(), i.double()))
    weights = barycentrics(corners.expand(len(i), 3, 3), x, y)
    torch.testing.assert_close(depth[0, i, j, 0], weights @ corners[:, 2])
    torch.testing.assert_close(rgb[0, i, j, :2], weights @ uvs[0])  # this texture is (u, v), which bilinear keeps


def difference(function, value, index, step=1e-6):
    one, other = value.clone(), value.clone()
    one[index] += step
    other[index] -= step
    return (function(one) - function(other)) / (2 * step)


def picture_weights():
    return torch.rand(1, SIDE, SIDE, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


UVS = torch.tensor([[[0.1, 0.2], [0.9, 0.3], [0.4, 0.8]]], dtype=torch.float64)


def some_texture():
    return torch.rand(8, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def test_gradients_of_the_texture_are_finite_differences():
    corners, weights = at((10, 12), (50, 15), (25, 55), z=(1.0, 3.0, 2.0)), picture_weights()

    def loss(texture):
        return (draw(corners, texture=texture, uvs=UVS)[0] * weights).sum()

    texture = some_texture().requires_grad_()
    loss(texture).backward()
    for index in ((1, 2, 0), (4, 4, 1), (5, 3, 2)):
        with torch.no_grad():
            expected = difference(loss, texture.detach(), index)
        assert expected != 0
        assert float(texture.grad[index]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("index", [(0, 0), (1, 1), (2, 2)])
def test_gradients_of_the_vertices_are_finite_differences(index):
    """Of colour, alpha and depth together: inside a face by its texture, at the edge by the antialiasing."""
    weights, texture = picture_weights(), some_texture()

    def loss(vertices):
        rgb, alpha, depth = draw(vertices, texture=texture, uvs=UVS)
        return (rgb * weights).sum() + (alpha * weights[..., :1]).sum() + (depth * weights[..., 1:2]).sum()

    corners = at((10.2, 12.1), (50.4, 15.3), (25.7, 55.9), z=(1.0, 3.0, 2.0)).requires_grad_()
    loss(corners).backward()
    with torch.no_grad():
        expected = difference(loss, corners.detach(), index)
    assert float(corners.grad[index]) == pytest.approx(float(expected), rel=1e-5)


def test_a_silhouette_s_place_has_the_gradient_of_the_covered_area():
    """Moving the right edge of an upright square of height 24 by one pixel covers 24 pixels more."""
    right = torch.tensor([[0.0], [1], [1], [0]]).double() * torch.tensor([2 / FOCAL, 0, 0]).double()

    def covered(shift):
        square = at((10.3, 20), (40, 20), (40, 44), (10.3, 44)) + shift * right
        return draw(square, [[0, 1, 2], [0, 2, 3]])[1].sum()

    shift = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    covered(shift).backward()
    assert float(shift.grad) == pytest.approx(24, rel=1e-6)
    with torch.no_grad():
        expected = difference(covered, shift.detach(), ())
    assert float(shift.grad) == pytest.approx(float(expected), rel=1e-6)


def both(vertices, faces, cameras, side):
    """What numba and torch see and where they find silhouettes."""
    viewmats, intrinsics = cameras.viewmats, cameras.intrinsics(side, side)
    points = vertices @ viewmats[:, :3, :3].mT + viewmats[:, None, :3, 3]
    faces, neighbours = torch.as_tensor(faces).long(), torch.from_numpy(neighbours_of(np.asarray(faces)))
    seen, (xs, ys) = seen_from(points, faces, intrinsics, side, side), pixel_rays(intrinsics, side, side)
    one, other = visible_by_numba(seen, xs, ys), visible_by_torch(seen, xs, ys)
    given = (seen, neighbours, xs, ys, *one)
    return one, other, silhouettes_by_numba(*given), silhouettes_by_torch(*given)


def soup(count, seed):
    """Faces of all sizes, anywhere, also behind the cameras and through them."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2.5 * torch.randn(count, 1, 3, generator=generator)
    sizes = 10 ** (2.5 * torch.rand(count, 1, 1, generator=generator) - 2)
    corners = centres + sizes * torch.randn(count, 3, 3, generator=generator)
    return corners.view(-1, 3), np.arange(3 * count).reshape(-1, 3)


def ball(subdivisions, radius=0.8):
    mesh = trimesh.creation.icosphere(subdivisions, radius=radius)
    return torch.tensor(np.asarray(mesh.vertices), dtype=torch.float32), np.asarray(mesh.faces)


@pytest.mark.parametrize("mesh", [soup(60, 0), soup(300, 1), ball(2), ball(5)])
def test_torch_sees_what_numba_sees(mesh):
    one, other, edges, by_torch = both(*mesh, orbit(2), 48)
    assert float((one[0] >= 0).float().mean()) > 0.2
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert torch.equal(edges, by_torch)
    assert int((edges >= 0).sum()) > 50


def test_a_closed_surface_has_no_gaps_and_silhouettes_only_at_its_outline():
    (faces, _), _, edges, _ = both(*ball(5), orbit(1), 96)
    covered = (faces[0] >= 0).numpy()
    for line in (*covered, *covered.T):
        run = np.flatnonzero(line)
        assert len(run) == 0 or line[run[0] : run[-1] + 1].all()
    outline = (covered[:, 1:] != covered[:, :-1]).sum() + (covered[1:] != covered[:-1]).sum()
    assert int((edges >= 0).sum()) == outline


def test_the_ball_is_as_large_as_a_ball():
    vertices, faces = ball(5)
    cameras = Cameras(*(torch.tensor([v]) for v in (0.0, 0.0, 3.0, 40.0)))
    uvs = torch.full((len(faces), 3, 2), 0.5)
    alpha = draw_mesh(vertices, topology(faces, uvs), torch.ones(4, 4, 3), cameras.viewmats,
                      cameras.intrinsics(128, 128), 128, 128)[1]  # fmt: skip
    focal = 64 / math.tan(math.radians(20))
    radius = focal * math.tan(math.asin(0.8 / 3))
    assert float(alpha.sum()) == pytest.approx(math.pi * radius**2, rel=2e-3)


def test_a_mesh_behind_the_camera_is_not_drawn():
    behind = at(*TRIANGLES[0]) * torch.tensor([1.0, 1, -1])
    assert not any(part.any() for part in draw(behind))


def test_a_mesh_without_faces_is_an_empty_picture():
    assert not any(part.any() for part in draw(at((1, 1), (2, 2), (3, 1)), np.zeros((0, 3))))
    one, other, _, _ = both(torch.zeros(3, 3), np.zeros((0, 3), np.int64), orbit(2), 8)
    assert torch.equal(one[0], other[0])
    assert (one[0] == -1).all()


def test_a_huge_face_through_the_camera_covers_what_is_before_it():
    """The floor, half a metre below the camera: it reaches the horizon, and its depth is that of the plane."""
    floor = torch.tensor([[-1e4, 0.5, -1e4], [1e4, 0.5, -1e4], [0, 0.5, 2e4]], dtype=torch.float64)
    _, alpha, depth = draw(floor)
    rows = torch.arange(SIDE).double() + 0.5 - SIDE / 2
    assert not alpha[0, : SIDE // 2 - 1].any()
    assert (alpha[0, SIDE // 2 + 1 :] == 1).all()
    truth = 0.5 * FOCAL / rows[SIDE // 2 + 1 :]
    torch.testing.assert_close(depth[0, SIDE // 2 + 1 :, 30, 0], truth)


def test_faces_with_nan_are_left_out_and_the_others_drawn():
    good = at(*TRIANGLES[0])
    bad = torch.cat([good, torch.full((1, 3), math.nan, dtype=torch.float64), torch.full((1, 3), math.inf).double()])
    whole, with_bad = draw(good), draw(bad, [[0, 1, 2], [0, 1, 3], [1, 2, 4]])
    for one, other in zip(whole, with_bad, strict=True):
        torch.testing.assert_close(one, other)


def test_faces_without_area_do_no_harm():
    vertices = torch.cat([at(*TRIANGLES[0]), at((20, 20), (20, 20), (30, 30))]).requires_grad_()
    _, alpha, _ = draw(vertices, [[0, 1, 2], [3, 4, 5], [3, 3, 3]])
    alpha.sum().backward()
    assert torch.isfinite(vertices.grad).all()
    assert abs(float(alpha.detach().sum()) - area(TRIANGLES[0])) < 1


@pytest.mark.gpu
def test_a_card_draws_what_the_cpu_draws():
    vertices, faces = ball(4)
    uvs = torch.rand(len(faces), 3, 2, generator=torch.Generator().manual_seed(0))
    texture = torch.rand(16, 16, 3, generator=torch.Generator().manual_seed(1))
    cameras, found = orbit(2), []
    for device in ("cpu", "cuda"):
        made = topology(faces, uvs)
        moved = MeshTopology(*(value.to(device) for value in (made.faces, made.neighbours, made.uvs)))
        given = [value.to(device).requires_grad_() for value in (vertices, texture)]
        views = (value.to(device) for value in (cameras.viewmats, cameras.intrinsics(96, 96)))
        parts = draw_mesh(given[0], moved, given[1], *views, 96, 96)
        sum(part.square().sum() for part in parts).backward()
        found.append([value.detach().cpu() for value in (*parts, *(value.grad for value in given))])
    for one, other in zip(*found, strict=True):
        close = torch.isclose(one, other, atol=1e-3 * float(one.abs().max()), rtol=1e-3)
        assert float(close.float().mean()) > 0.999  # another rounding may choose another of two faces
