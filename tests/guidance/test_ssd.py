"""SSD: guidance's direction above the switch, the prompt's estimate without its noise below."""

import msgspec
import pytest
import torch

from backend.guidance.guide import noise_like, noised
from backend.guidance.rules.csd import CSD, CSDOptions
from backend.guidance.rules.ssd import SSD, SSDOptions
from backend.priors.base import Counted

LOW = SSDOptions(weight="one", switch=500)


def test_below_the_switch_no_view_has_a_part_along_its_noise(gaussians, x, stepped, exact, seeded):
    gradient = stepped(SSD(LOW), gaussians, x, 500, away="1").gradient
    eps = noise_like(x, seeded())
    cosine = torch.cosine_similarity(gradient.flatten(1), eps.flatten(1))
    assert cosine.abs().max() < 1e-12
    eps_y = exact(gaussians, noised(gaussians, x, torch.full((2,), 500), eps), 500)
    assert torch.cosine_similarity(eps_y.flatten(1), eps.flatten(1)).min() > 0.5  # of which there was much


def test_below_the_switch_it_is_as_long_as_the_direction_of_guidance(gaussians, x, stepped):
    low = stepped(SSD(LOW), gaussians, x, 500, away="1").gradient
    high = stepped(SSD(SSDOptions(weight="one", switch=499)), gaussians, x, 500, away="1").gradient
    torch.testing.assert_close(low.flatten(1).norm(dim=1), high.flatten(1).norm(dim=1))
    assert not torch.allclose(low, high)


def test_for_a_lone_point_the_rest_points_from_the_prompt_to_x(gaussians, x, stepped, seeded):
    """eps_y is a multiple of alpha (x - mu) + sigma eps: without eps it is x - mu, less its own part along eps."""
    gradient = stepped(SSD(LOW), gaussians, x, 400, away="1").gradient.flatten(1)
    eps = noise_like(x, seeded()).flatten(1)
    away = (x - gaussians.means[0]).flatten(1)
    rest = away - (away * eps).sum(1, keepdim=True) / (eps**2).sum(1, keepdim=True) * eps
    torch.testing.assert_close(torch.cosine_similarity(gradient, rest), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("level", [101, 600])
def test_above_the_switch_it_is_csd(level, mixture, points, stepped):
    ssd = stepped(SSD(SSDOptions(guidance_scale=4.0)), mixture, points, level).gradient
    torch.testing.assert_close(ssd, stepped(CSD(CSDOptions(guidance_scale=4.0)), mixture, points, level).gradient)
    assert not torch.allclose(ssd, stepped(SSD(SSDOptions(switch=level)), mixture, points, level).gradient)


def test_the_gradient_is_zero_and_not_nan_without_a_direction(one_mode, x, stepped):
    """Guidance has no direction on a single mode."""
    assert not stepped(SSD(LOW), one_mode, x, 400).gradient.any()


def test_costs_one_forward_of_two_rows_a_view(gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(SSD(SSDOptions()), counted, x, 600, away="1")
    assert (counted.calls, counted.rows) == (1, 4)


@pytest.mark.parametrize("bad", [{"switch": -1}, {"switch": 1001}, {"m": 100}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, SSDOptions)
