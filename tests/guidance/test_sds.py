"""SDS against the closed form of a Gaussian prior."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import noise_like
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.priors.base import Counted, alpha_sigma

LEVEL, SCALE = 500, 20.0


def test_expected_gradient_is_the_guided_estimate_at_the_mean(gaussians, conditions, x, exact, seeded):
    batch = 4000
    many, t = x[:1].expand(batch, -1, -1, -1), torch.full((batch,), LEVEL)
    score = SDS(SDSOptions(guidance_scale=SCALE)).gradient(
        Batch(gaussians, many, t, conditions(gaussians, batch, away="1"), 0.0, seeded())
    )
    alpha, sigma = alpha_sigma(gaussians, t[:1])
    expected = sigma**2 * exact(gaussians, alpha * x[:1], LEVEL, SCALE)
    spread = score.gradient.std(0) / batch**0.5
    assert ((score.gradient.mean(0) - expected[0]).abs() < 5 * spread).all()
    assert (expected.abs() > 5 * spread).all(), "the bound would also let nothing through"


@pytest.mark.parametrize("name", ["one", "sigma^2", "alpha/sigma", "sigma/alpha"])
def test_each_weight_scales_the_same_difference(name, gaussians, conditions, x, exact, seeded):
    t = torch.full((2,), LEVEL)
    score = SDS(SDSOptions(guidance_scale=SCALE, weight=name)).gradient(
        Batch(gaussians, x, t, conditions(gaussians, 2, away="1"), 0.0, seeded())
    )
    alpha, sigma = alpha_sigma(gaussians, t)
    eps = noise_like(x, seeded())
    w = {"one": 1, "sigma^2": sigma**2, "alpha/sigma": alpha / sigma, "sigma/alpha": sigma / alpha}[name]
    torch.testing.assert_close(score.gradient, w * (exact(gaussians, alpha * x + sigma * eps, LEVEL, SCALE) - eps))


def test_costs_one_forward_of_two_rows_a_view(gaussians, conditions, x, seeded):
    counted = Counted(gaussians)
    t = torch.full((2,), LEVEL)
    SDS(SDSOptions()).gradient(Batch(counted, x, t, conditions(gaussians, 2), 0.0, seeded()))
    assert (counted.calls, counted.rows) == (1, 4)


@pytest.mark.parametrize("bad", [{"guidance_scale": -1}, {"weight": "sigma"}, {"guidance": 7}, {"guidance_scale": "7"}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, SDSOptions)
