"""CSD: the direction of guidance alone, against closed forms and against SDS."""

import dataclasses

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import guided, noise_like, noised
from backend.guidance.rules.csd import CSD, CSDOptions
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.priors.base import Counted, alpha_sigma

LEVEL = 500
HELD = CSDOptions(negative_end=-1.0, null_end=0.0)  # u = -1 and n = 0 for the whole run


@pytest.mark.parametrize("progress", [0.0, 0.7])
def test_with_one_gaussian_against_another_only_their_means_count(progress, gaussians, x, stepped, spread):
    """eps_y - eps_neg = sigma alpha (mu_neg - mu_y) / v: neither x nor the noise is left."""
    score = stepped(CSD(HELD), gaussians, x, LEVEL, away="1", progress=progress)
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([LEVEL]))
    apart = gaussians.means[1] - gaussians.means[0]
    expected = sigma**2 * sigma * alpha * apart / spread(gaussians, LEVEL)
    torch.testing.assert_close(score.gradient, expected.expand_as(x))


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_the_weights_move_over_the_run(progress, gaussians, conditions, x, stepped, exact, seeded):
    score = stepped(CSD(CSDOptions(guidance_scale=3.0)), gaussians, x, LEVEL, away="1", progress=progress)
    t = torch.full((2,), LEVEL)
    x_t = noised(gaussians, x, t, noise_like(x, seeded()))
    eps_null = gaussians.predict(x_t, t, conditions(gaussians, 2).null)
    u, n = -1 + 0.5 * progress, -0.5 * progress
    terms = exact(gaussians, x_t, LEVEL) + u * exact(gaussians, x_t, LEVEL, scale=0.0) + n * eps_null
    torch.testing.assert_close(score.gradient, 3 * (1 - gaussians.alphas_cumprod[LEVEL]) * terms)
    assert (eps_null - exact(gaussians, x_t, LEVEL, scale=0.0)).abs().max() > 0.01  # so that u and n can be told apart


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_it_is_what_guidance_adds_to_sds(progress, mixture, points, stepped):
    strong, none = (stepped(SDS(SDSOptions(guidance_scale=s)), mixture, points, LEVEL) for s in (20.0, 0.0))
    score = stepped(CSD(CSDOptions()), mixture, points, LEVEL, progress=progress)
    torch.testing.assert_close(score.gradient, (strong.gradient - none.gradient) / 20)
    assert score.gradient.abs().max() > 0.1


def test_perp_neg_counts_as_in_guidance(mixture, conditions, points, seeded):
    t, weights = torch.full((100,), LEVEL), torch.linspace(-2, 0, 100, dtype=torch.float64)
    perp = ((mixture.condition(["3"] * 100), weights),)
    given = dataclasses.replace(conditions(mixture, 100), perp=perp)
    score = CSD(CSDOptions(weight="one")).gradient(Batch(mixture, points, t, given, 0.3, seeded()))
    x_t = noised(mixture, points, t, noise_like(points, seeded()))
    difference = guided(mixture, x_t, t, given, 1.0)[0] - mixture.predict(x_t, t, given.null)
    torch.testing.assert_close(score.gradient, difference)
    plain = CSD(CSDOptions(weight="one")).gradient(Batch(mixture, points, t, conditions(mixture, 100), 0.3, seeded()))
    assert not torch.allclose(score.gradient, plain.gradient)


@pytest.mark.parametrize(("away", "rows"), [("", 2), ("1", 3)])
def test_costs_one_forward(away, rows, gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(CSD(CSDOptions()), counted, x, LEVEL, away=away)
    assert (counted.calls, counted.rows) == (1, 2 * rows)


@pytest.mark.parametrize("bad", [{"negative_start": -11}, {"null_end": 11}, {"guidance_scale": -1}, {"u": -1}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, CSDOptions)
