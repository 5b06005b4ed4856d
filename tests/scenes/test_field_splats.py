"""A field as splats, splats as a field: both look the same."""

import math

import pytest
import torch
from msgspec.structs import replace

from backend.cameras import orbit
from backend.scenes.field import FieldScene
from backend.scenes.field_grid import corners
from backend.scenes.field_splats import as_field, as_splats, visible
from backend.scenes.initial import point_cloud
from backend.scenes.settings import FieldSettings
from backend.scenes.splats import render_splats

SETTINGS = FieldSettings(levels=(16, 48), samples=48)


def apple(density=60.0, radius=0.5, side=48):
    """A ball, red above and green below."""
    places = corners(side)
    grid = torch.zeros(4, side, side, side)
    grid[0] = (math.log(density) - 60 * (places.norm(dim=-1) - radius).clamp(min=0)).clamp(min=-8)
    above = places[..., 2] > 0
    grid[1], grid[2], grid[3] = torch.where(above, 2.0, -2.0), torch.where(above, -2.0, 2.0), -2.0
    return grid


def psnr(one, other):
    return float(-10 * (one - other).square().mean().log10())


@torch.no_grad()
def pictures(thing, side=128):
    cameras, white = orbit(3), torch.ones(3, 3)
    if isinstance(thing, torch.Tensor):
        return FieldScene(thing, SETTINGS, 1).render(cameras, side, side, white)
    return render_splats(thing, cameras, side, side, white)


@pytest.mark.parametrize("density", [60.0, 10.0, 1.5])
def test_splats_of_a_field_look_like_it(density):
    grid = apple(density)
    splats = as_splats(grid, SETTINGS)
    field, render = pictures(grid), pictures(splats)
    assert splats.finite()
    assert psnr(field.rgb, render.rgb) > 26
    assert psnr(field.alpha, render.alpha) > 22
    middle = field.alpha[:, 64, 64, 0]
    torch.testing.assert_close(middle, render.alpha[:, 64, 64, 0], atol=0.06, rtol=0)


def test_what_cannot_be_seen_makes_no_splats_and_the_most_visible_come_first():
    grid, few = apple(), replace(SETTINGS, splats_max=500)
    splats = as_splats(grid, SETTINGS)
    assert float(splats.means.norm(dim=-1).min()) > 0.3  # nothing from deep within the ball
    assert len(as_splats(grid, few)) == 500
    assert torch.equal(as_splats(grid, few).means, splats.means[:500])
    assert float(visible(grid, SETTINGS)[24, 24, 24]) == 0


def test_an_empty_field_is_a_splat_that_cannot_be_seen():
    empty = torch.full((4, 48, 48, 48), -8.0)
    splats = as_splats(empty, SETTINGS)
    assert len(splats) == 1
    assert float(splats.opacity_logits.sigmoid().max()) < 1e-3


def test_a_field_of_splats_looks_like_them():
    splats = as_splats(apple(), SETTINGS)
    field = as_field(splats, 48, torch.Generator().manual_seed(0))
    one, other = pictures(splats), pictures(field)
    assert psnr(one.rgb, other.rgb) > 24
    assert psnr(one.alpha, other.alpha) > 20


def test_a_faint_splat_keeps_its_matter():
    """Of optical depth a and deviation s, seen from anywhere: 2 pi a s²."""
    opacity = 0.2
    splat = point_cloud(torch.zeros(1, 3), torch.tensor([[0.9, 0.1, 0.1]]), opacity=opacity)
    size = float(splat.log_scales.exp()[0, 0])
    field = as_field(splat, 48, torch.Generator().manual_seed(0))
    matter = (field[0].exp() - math.exp(-8)).clamp(min=0).sum() * (2 / 47) ** 3
    assert float(matter) == pytest.approx(-math.log(1 - opacity) * 2 * math.pi * size**2, rel=0.02)
    assert field[1:, 24, 24, 24].sigmoid().tolist() == pytest.approx([0.9, 0.1, 0.1], abs=1e-3)
