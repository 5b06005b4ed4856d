"""The protocols' figures and pictures against closed forms."""

import math

import numpy as np
import pytest
import torch
import trimesh

from backend.cameras import Cameras
from backend.guidance.guide import Conditions
from backend.job.job import make_job
from backend.priors.analytic import Analytic, to_pure_noise
from backend.scenes.meshes import load_surface
from backend.scenes.splats import Splats
from backend.studies.evaluate.dpm_solver import dpm_solver_sample
from backend.studies.evaluate.measures import fid, inception_variance, t3_score
from backend.studies.evaluate.optional_judges import Inception
from backend.studies.evaluate.protocols.diversedream import all_views_variance, has_one_start
from backend.studies.evaluate.protocols.dreammapping import DISTANCE, FOV
from backend.studies.evaluate.protocols.mesh_pictures import Body, normalised
from backend.studies.evaluate.protocols.subjects import circle
from backend.studies.evaluate.protocols.t3bench import FIELDS, quality
from backend.studies.evaluate.sphere import sphere_cameras


def test_regional_convolution_of_one_good_view_by_hand():
    """One corner of the icosahedron is 1, all others 0; it has five neighbours, and all vertices near it six.

    First round: itself 1/6, its neighbours 1/7.  Second: (1/6 + 5/7) / 6, and a neighbour, which has two others beside
    it, (1/7 + 1/6 + 2/7) / 7.  The third is the mean of the former and five of the latter, and no vertex has more.
    """
    scores = torch.zeros(162, dtype=torch.float64)
    scores[0] = 1
    assert len(trimesh.creation.icosphere(subdivisions=2).vertex_neighbors[0]) == 5
    assert t3_score(scores) == pytest.approx(((1 / 6 + 5 / 7) / 6 + 5 * (1 / 7 + 1 / 6 + 2 / 7) / 7) / 6)


@pytest.mark.parametrize(("subdivisions", "count"), [(0, 12), (2, 162)])
def test_the_cameras_stand_at_the_corners_of_the_sphere(subdivisions, count):
    cameras = sphere_cameras(subdivisions, 2.2, 45.0)
    corners = np.array(trimesh.creation.icosphere(subdivisions=subdivisions, radius=2.2).vertices)
    assert len(cameras) == count
    np.testing.assert_allclose(cameras.positions.numpy(), corners, atol=2.2 * math.radians(0.11))  # beside the poles


def plate(tmp_path):
    """A square in the plane of X and Z, off the origin, whose colour is red along X and green along Z (linear)."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], float)
    colours = (255 * np.stack([corners[:, 0], corners[:, 2], np.zeros(4), np.ones(4)], -1)).astype(np.uint8)
    y_up = 4 * corners[:, [0, 2, 1]] * [1, 1, -1] + [9, 5, 7]
    mesh = trimesh.Trimesh(y_up, [[0, 1, 2], [0, 2, 3]], vertex_colors=colours, process=False)
    mesh.export(tmp_path / "plate.glb")
    return Body.of(load_surface(tmp_path / "plate.glb"))


def at(azimuth, elevation, fov):
    return Cameras(*(torch.tensor([value]) for value in (azimuth, elevation, 2.2, fov)))


def test_a_mesh_is_moved_to_its_mean_and_fills_the_cube_and_is_seen_on_black(tmp_path):
    """From the front at 2.2 with 60 degrees the picture is 2 x 2.2 tan 30 wide, the plate 2."""
    (picture,) = plate(tmp_path).pictures(at(0.0, 0.0, 60.0), 101)
    covered = picture[0].amax(-1) > 0
    width = 2 * 2.2 * math.tan(math.radians(30))
    assert float(covered.float().mean()) == pytest.approx((2 / width) ** 2, abs=0.02)
    assert not bool(covered[0].any())
    assert bool(covered[50, 50])
    assert torch.equal(covered, covered.flip(0))
    assert picture[0, 20, :, 0].nonzero().min() < 30


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.0, 0.0), (35.0, 20.0), (-50.0, -30.0)])
def test_colours_are_those_of_the_surface_in_perspective(tmp_path, azimuth, elevation):
    """A ray through a pixel meets the plate's plane at (x, 0, z); its light there is ((x+1)/2, (z+1)/2, 0)."""
    camera, side = at(azimuth, elevation, 45.0), 65
    (picture,) = plate(tmp_path).pictures(camera, side)
    rows, columns = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones(side, side)], -1)
    rays = pixels @ torch.linalg.inv(camera.intrinsics(side, side)[0]).T @ camera.viewmats[0, :3, :3]
    place = camera.positions[0] - camera.positions[0, 1] / rays[..., 1:2] * rays
    light = (place[..., [0, 2]] + 1) / 2
    inside = ((light > 0.03) & (light < 0.97)).all(-1)
    srgb = torch.from_numpy(trimesh.visual.color.linear_to_srgb(light[inside].numpy())).float()
    assert int(inside.sum()) > 500
    torch.testing.assert_close(picture[0][inside][:, :2], srgb, rtol=0, atol=0.01)


def test_splats_are_placed_as_a_mesh_is():
    means = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 3.0], [100.0, 0.0, 0.0]])
    splats = Splats(
        means, torch.eye(4)[:1].expand(3, 4), torch.zeros(3, 3), torch.tensor([3.0, 3.0, -9.0]), torch.zeros(3, 1, 3)
    )
    torch.testing.assert_close(normalised(splats).means[:2], torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]))


def test_the_quality_takes_the_best_field_of_view_at_each_corner():
    """A score that is -fov seen through its picture, and one for the number of pictures."""
    seen = []

    def view(cameras, side):
        seen.append(cameras)
        for start in range(0, len(cameras), 8):
            yield cameras.fov[start : start + 8].view(-1, 1, 1, 1).expand(-1, side, side, 3)

    narrow, wide = (lambda x, _: -x[:, 0, 0, 0]), (lambda x, _: x[:, 0, 0, 0])
    assert quality(view, "a chair", [narrow, wide], 4) == pytest.approx([-24.0, 60.0])
    assert [float(cameras.fov[0]) for cameras in seen] == pytest.approx(FIELDS)
    assert all(len(cameras) == 162 and bool((cameras.distance == 2.2).all()) for cameras in seen)


def test_dreammappings_circle():
    cameras = circle(120, 0.0, DISTANCE, FOV)
    assert pytest.approx(31.51, abs=0.01) == FOV
    assert cameras.positions[:, 2].abs().max() < 1e-6
    assert cameras.positions.norm(dim=-1).min() == pytest.approx(3.5)


def drawn_from(mean, std, schedule):
    prior = Analytic(mean, std, schedule)
    noise = torch.randn(4000, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = (noise - noise.mean(0)) / noise.std(0)
    conditions = Conditions(prior.condition(["0"] * 4000), prior.condition([""] * 4000))
    return prior, dpm_solver_sample(prior, noise, torch.zeros(0), conditions, 50, 1.0)


def test_dpm_solver_draws_from_a_known_gaussian():
    """The flow takes x_T, here N(0, 1), to m + s (x_T - alpha_T m) / sqrt(v_T), v_t = alpha_t^2 s^2 + sigma_t^2.

    The solver's last step, from level 20, takes the expected picture there, whose width is alpha s^2 / sqrt(v).
    """
    mean, std = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64).view(1, 3, 1, 1), 0.3
    prior, drawn = drawn_from(mean, std, None)
    last, low = prior.alphas_cumprod[-1], prior.alphas_cumprod[20]
    v_last, v_low = (signal * std**2 + 1 - signal for signal in (last, low))
    width = low.sqrt() * std**2 / (v_low * v_last).sqrt()
    torch.testing.assert_close(drawn.mean(0, keepdim=True), mean * (1 - width * last.sqrt()), rtol=0, atol=2e-3)
    torch.testing.assert_close(drawn.std(0), width.expand(3, 1, 1), rtol=0.01, atol=0)


def test_dpm_solver_takes_a_schedule_that_ends_in_pure_noise():
    """Its first step is a long one, so the width is right to a tenth only."""
    mean = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64).view(1, 3, 1, 1)
    _, drawn = drawn_from(mean, 0.3, to_pure_noise(Analytic(mean, 0.3).alphas_cumprod))
    torch.testing.assert_close(drawn.mean(0, keepdim=True), mean, rtol=0, atol=1e-2)
    torch.testing.assert_close(drawn.std(0), torch.full((3, 1, 1), 0.3).double(), rtol=0.12, atol=0)


def test_frechets_distance_of_two_known_gaussians():
    """N(0, 1) and N(3, 4) in one dimension, by their quantiles: 3^2 + (1 - 2)^2."""
    quantiles = torch.special.ndtri((torch.arange(100_000).double() + 0.5) / 100_000)[:, None]
    assert fid(quantiles, 3 + 2 * quantiles) == pytest.approx(10, rel=1e-3)


def test_iv_of_known_distributions():
    """Four results, each sure of a class of its own from all sides; and results that only differ from side to side."""
    sure = torch.eye(4)
    different, alike = sure[:, None].expand(4, 3, 4), sure[:2].expand(4, 2, 4)
    assert all_views_variance(different) == pytest.approx(math.log(4))
    assert inception_variance(different) == pytest.approx(math.log(4))
    assert all_views_variance(alike) == pytest.approx(math.log(2))
    assert inception_variance(alike) == pytest.approx(0, abs=1e-6)


def test_one_start():
    def jobs(**fields):
        return [make_job({"prompt": "a chair", "seed": seed, **fields}) for seed in (0, 1)]

    assert has_one_start(jobs(recipe={"start_seed": 0}))
    assert not has_one_start(jobs())
    assert not has_one_start([*jobs(recipe={"start_seed": 0})[:1], *jobs(recipe={"start_seed": 1})[1:]])


class Logits(torch.nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.float().mean((2, 3)) - 100


def test_inceptions_probabilities_sum_to_one_whether_it_gives_them_or_logits(tmp_path):
    torch.jit.script(Logits()).save(str(tmp_path / "logits.pt"))
    pictures = torch.rand(2, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    p = Inception(tmp_path / "logits.pt").probabilities(pictures)
    torch.testing.assert_close(p, ((pictures * 255).round().mean((1, 2)).double() - 100).softmax(-1))
