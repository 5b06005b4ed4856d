"""NFSD: its two terms on both sides of level 200."""

import msgspec
import pytest
import torch

from backend.guidance.guide import noise_like, noised
from backend.guidance.rules.csd import CSD, CSDOptions
from backend.guidance.rules.nfsd import NFSD, NFSDOptions
from backend.priors.analytic import Analytic, linear
from backend.priors.base import Counted, alpha_sigma


@pytest.mark.parametrize("level", [20, 199, 200, 700])
def test_equation_6(level, gaussians, conditions, x, stepped, exact, seeded):
    score = stepped(NFSD(NFSDOptions()), gaussians, x, level, away="1")
    t = torch.full((2,), level)
    x_t = noised(gaussians, x, t, noise_like(x, seeded()))
    eps_null = gaussians.predict(x_t, t, conditions(gaussians, 2).null)
    delta_c = 7.5 * (exact(gaussians, x_t, level) - eps_null)
    delta_d = eps_null if level < 200 else eps_null - exact(gaussians, x_t, level, scale=0.0)
    torch.testing.assert_close(score.gradient, (1 - gaussians.alphas_cumprod[level]) * (delta_c + delta_d))


@pytest.mark.parametrize(("level", "low"), [(99, True), (100, False)])
def test_the_cut_off_is_a_share_of_the_schedule(level, low, gaussians, x, stepped):
    """With 500 levels 200 of 1000 is level 100; above it a lone Gaussian, whatever the prompt, gives nothing."""
    prior = Analytic(gaussians.means[:1], 0.5, linear(500))
    gradient = stepped(NFSD(NFSDOptions()), prior, x, level).gradient
    assert bool((gradient != 0).all()) == low


def test_below_the_cut_off_the_priors_own_pull_is_left(one_mode, x, stepped, spread):
    """E g = w sigma alpha (x - mu) / v: the drawn noise has mean zero."""
    level, batch = 100, 4000
    many = x[:1].expand(batch, -1, -1, -1)
    gradient = stepped(NFSD(NFSDOptions(weight="one")), one_mode, many, level).gradient
    alpha, sigma = alpha_sigma(one_mode, torch.tensor([level]))
    expected = (sigma * alpha * (x[:1] - one_mode.means) / spread(one_mode, level))[0]
    error = gradient.std(0) / batch**0.5
    assert ((gradient.mean(0) - expected).abs() < 5 * error).all()
    assert float(expected.norm()) > 20 * float(error.norm())


def test_without_a_negative_prompt_it_is_csd_from_the_cut_off_up(mixture, points, stepped):
    nfsd = stepped(NFSD(NFSDOptions(guidance_scale=4.0)), mixture, points, 600).gradient
    torch.testing.assert_close(nfsd, stepped(CSD(CSDOptions(guidance_scale=4.0)), mixture, points, 600).gradient)


@pytest.mark.parametrize(("away", "rows"), [("", 2), ("1", 3)])
def test_costs_one_forward(away, rows, gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(NFSD(NFSDOptions()), counted, x, 600, away=away)
    assert (counted.calls, counted.rows) == (1, 2 * rows)


@pytest.mark.parametrize("bad", [{"cut_off": -1}, {"cut_off": 1001}, {"cut_off": 0.2}, {"weight": "none"}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, NFSDOptions)
