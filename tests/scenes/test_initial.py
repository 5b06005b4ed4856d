"""Starting splats against closed forms: where they lie, how large they are, which way they face."""

import math

import pytest
import torch
from gsplat.utils import normalized_quat_to_rotmat

from backend.cameras import orbit
from backend.scenes.initial import InitialError, discs, point_cloud, sphere
from backend.scenes.splats import render_splats


def test_ball_is_even_grey_and_inside_its_radius():
    splats = sphere(8000, 0.5, torch.Generator().manual_seed(0))
    distance = splats.means.norm(dim=-1)
    assert distance.max() <= 0.5 + 1e-6
    # Half the volume lies inside radius * 2^(-1/3).
    assert (distance < 0.5 * 0.5 ** (1 / 3)).float().mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(splats.rgb, torch.full((8000, 3), 0.5))
    assert torch.allclose(splats.opacity_logits.sigmoid(), torch.tensor(0.1))


def test_blob_has_two_sigma_at_its_radius():
    splats = sphere(8000, 0.5, torch.Generator().manual_seed(0), shape="blob", opacity=0.2)
    assert splats.means.std(0).tolist() == pytest.approx([0.25] * 3, rel=0.05)


def test_the_same_seed_gives_the_same_ball():
    one, two = (sphere(100, 0.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.means, two.means)


def test_points_of_a_grid_get_its_spacing():
    steps = torch.arange(6) * 0.2
    points = torch.cartesian_prod(steps, steps, steps)
    splats = point_cloud(points, torch.rand(len(points), 3, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(splats.log_scales.exp(), torch.tensor(0.2), atol=1e-5)


def test_duplicate_points_do_not_vanish():
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).repeat(5, 1)
    assert point_cloud(points, torch.zeros(250, 3)).log_scales.exp().min() > 1e-7


def test_one_point_is_a_splat():
    assert point_cloud(torch.zeros(1, 3), torch.ones(1, 3)).finite()


def test_nan_and_infinite_points_are_refused():
    with pytest.raises(InitialError, match="NaN or infinite"):
        point_cloud(torch.tensor([[0.0, math.nan, 0.0]]), torch.ones(1, 3))


def test_the_thin_axis_lies_along_the_normal():
    normals = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    normals = torch.cat([normals, torch.tensor([[0.0, 0, 1], [0, 0, -1], [1, 0, 0]])])
    splats = discs(torch.rand(203, 3), normals, torch.ones(203, 3))
    thin = normalized_quat_to_rotmat(splats.quats)[:, :, 2]
    assert torch.allclose(thin, normals, atol=1e-5)
    sigma = splats.log_scales.exp()
    assert torch.allclose(sigma[:, 0], sigma[:, 1])
    assert torch.allclose(sigma[:, 2], 0.1 * sigma[:, 0])


def test_a_wall_of_discs_hides_what_is_behind():
    """A plane at y = 0 seen from the front, red on a black background: opaque, and red."""
    steps = torch.linspace(-0.6, 0.6, 40)
    x, z = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([x.flatten(), torch.zeros(1600), z.flatten()], -1)
    splats = discs(points, torch.tensor([0.0, -1, 0]).repeat(1600, 1), torch.tensor([1.0, 0, 0]).repeat(1600, 1))
    render = render_splats(splats, orbit(1, elevation=0.0), 32, 32, torch.zeros(1, 3))
    centre = render.rgb[0, 12:20, 12:20]
    assert centre[..., 0].min() > 0.95
    assert centre[..., 1:].max() < 0.01
