"""Conventions: where cameras stand, what they see, how they are drawn."""

import math

import pytest
import torch

from backend.cameras import CameraRange, Cameras, orbit, sample_cameras, view_word, within


def project(cameras, point):
    camera = cameras.viewmats @ torch.tensor([*point, 1.0])
    pixel = torch.einsum("bij,bj->bi", cameras.intrinsics(200, 100), camera[:, :3])
    return pixel[:, :2] / pixel[:, 2:], camera[:, 2]


def test_azimuth_zero_looks_from_minus_y_and_grows_counter_clockwise():
    positions = orbit(4, elevation=0.0).positions
    unit = positions / positions.norm(dim=-1, keepdim=True)
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0]])
    torch.testing.assert_close(unit, expected, atol=1e-6, rtol=0)


def test_axes_are_opencv():
    cameras = orbit(1, elevation=0.0)
    pixel, depth = project(cameras, (0.0, 0.0, 0.0))
    torch.testing.assert_close(pixel, torch.tensor([[100.0, 50.0]]))
    torch.testing.assert_close(depth, cameras.distance)
    assert project(cameras, (0.1, 0.0, 0.0))[0][0, 0] > 100  # the world's +X is on the right of the front view
    assert project(cameras, (0.0, 0.0, 0.1))[0][0, 1] < 50  # up is up


@pytest.mark.parametrize("elevation", [-90.0, -30.0, 0.0, 60.0, 90.0])
def test_viewmats_are_rigid_and_place_the_camera_at_its_position(elevation):
    cameras = orbit(7, elevation=elevation)
    matrices = cameras.viewmats
    rotation = matrices[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(7, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(7))
    origin = torch.einsum("bij,bj->bi", matrices, torch.cat([cameras.positions, torch.ones(7, 1)], 1))
    torch.testing.assert_close(origin[:, :3], torch.zeros(7, 3), atol=1e-5, rtol=0)


def test_framing_one_fills_the_picture_with_the_unit_ball():
    cameras = orbit(1, elevation=0.0, framing=1.0)
    half_angle = math.degrees(math.asin(1 / float(cameras.distance)))
    assert half_angle == pytest.approx(20.0, abs=1e-4)
    torch.testing.assert_close(cameras.framing, torch.ones(1))


def test_sampled_cameras_stay_in_their_ranges_and_surround_the_object():
    window = CameraRange(elevation=(-5.0, 30.0), overhead_share=0.2, fov=(30.0, 50.0), framing=(1.0, 1.3))
    generator = torch.Generator().manual_seed(0)
    batches = [sample_cameras(window, 4, generator) for _ in range(300)]
    elevation = torch.cat([c.elevation for c in batches])
    high = elevation > 30
    assert high.float().mean() == pytest.approx(0.2, abs=0.04)
    assert bool((elevation[~high] >= -5).all())
    assert bool((elevation[high] >= 45).all())
    assert bool(
        (torch.cat([c.framing for c in batches]).clamp(1.0, 1.3001) == torch.cat([c.framing for c in batches])).all()
    )
    for cameras in batches:
        gaps = torch.diff(torch.cat([s := cameras.azimuth.sort().values, s[:1] + 360]))
        assert float(gaps.max()) <= 90 * 1.5 + 1e-3  # never more than a quarter turn and a half without a camera
    quarters = torch.histc(torch.cat([c.azimuth for c in batches]), 4, -180, 180)
    assert float(quarters.min()) > 240


@pytest.mark.parametrize(
    ("azimuth", "elevation", "word"),
    [(0, 0, "front"), (44, 0, "front"), (46, 0, "side"), (-134, 0, "side"), (136, 0, "back"), (-180, 0, "back"),
     (405, 0, "side"), (0, 61, "overhead"), (0, 60, "front")],
)  # fmt: skip
def test_view_words(azimuth, elevation, word):
    assert view_word(azimuth, elevation) == word


def test_rows_can_be_taken():
    cameras = orbit(6)
    assert isinstance(cameras[2:4], Cameras)
    torch.testing.assert_close(cameras[2:4].azimuth, torch.tensor([120.0, 180.0]))


def test_those_within_a_window_are_taken_or_else_the_nearest():
    ring = orbit(8, elevation=15.0)
    both = Cameras(
        *(torch.cat([a, b]) for a, b in zip(vars(ring).values(), vars(orbit(4, elevation=65.0)).values(), strict=True))
    )
    front = within(both, CameraRange(azimuth=(-50.0, 50.0)))
    assert front.azimuth.tolist() == [0, 45, 315]
    assert len(within(both, CameraRange(elevation=(10.0, 70.0)))) == 12
    assert len(within(both, CameraRange(elevation=(10.0, 45.0), overhead_share=0.2))) == 12
    assert within(both, CameraRange(azimuth=(30.0, 30.0), elevation=(15.0, 15.0))).azimuth.tolist() == [45]
