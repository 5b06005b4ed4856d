"""DDIM up and down, against the exact flow of a Gaussian prior."""

from itertools import pairwise

import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import noise_like
from backend.guidance.inversion import CLEAN, ddim_inversion, ddim_sample, levels
from backend.priors.base import Counted, alpha_sigma

STD = 0.5


def invert(prior, x, level, conditions, steps=10, scale=1.0, eta=0.0, seed=0, start="estimate"):
    t = torch.full((len(x),), level)
    return ddim_inversion(
        Batch(prior, x, t, conditions, 0.0, torch.Generator().manual_seed(seed)), steps, scale, eta, start
    )


def flow(prior, x, level):
    """Where the probability flow carries a clean x: its distance from the mean, in standard deviations, stays."""
    alpha, sigma = alpha_sigma(prior, torch.tensor([level]))
    return alpha * prior.means[0] + ((alpha * STD) ** 2 + sigma**2).sqrt() / STD * (x - prior.means[0])


def test_levels_are_counted_back_from_t():
    assert levels(980, 10, 1000) == [CLEAN, 80, 180, 280, 380, 480, 580, 680, 780, 880, 980]
    assert levels(600, 10, 1000) == [CLEAN, 100, 200, 300, 400, 500, 600]
    assert levels(250, 10, 1000) == [CLEAN, 50, 150, 250]
    assert levels(20, 10, 1000) == [CLEAN, 20]
    assert levels(99, 3, 100) == [CLEAN, 32, 66, 99]
    assert levels(3, 1000, 1000) == [CLEAN, 1, 2, 3]
    assert levels(0, 10, 1000) == [CLEAN, 0]


@pytest.mark.parametrize(("level", "calls"), [(980, 10), (600, 6), (250, 3), (20, 1)])
@pytest.mark.parametrize(("scale", "rows"), [(1.0, 2), (-13.5, 4)])
def test_cost_grows_with_t_and_doubles_with_guidance(level, calls, scale, rows, gaussians, conditions, x):
    counted = Counted(gaussians)
    invert(counted, x, level, conditions(gaussians, 2), scale=scale)
    assert (counted.calls, counted.rows) == (calls, calls * rows)


def test_eps_inv_is_the_noise_between_x_and_x_t(gaussians, conditions, x):
    x_t, eps_inv = invert(gaussians, x, 700, conditions(gaussians, 2), scale=-3.0, eta=0.3)
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([700]))
    torch.testing.assert_close(alpha * x + sigma * eps_inv, x_t)


def test_the_first_step_adds_the_estimate_at_level_zero(gaussians, conditions, x, exact):
    _, eps_inv = invert(gaussians, x, 60, conditions(gaussians, 2))
    torch.testing.assert_close(eps_inv, exact(gaussians, x, 0))


def test_a_drawn_start_adds_noise_and_costs_one_call_less(gaussians, conditions, x, seeded):
    counted = Counted(gaussians)
    _, eps_inv = invert(counted, x, 60, conditions(gaussians, 2), start="noise")
    torch.testing.assert_close(eps_inv, noise_like(x, seeded()))
    invert(counted, x, 980, conditions(gaussians, 2), start="noise")
    assert counted.calls == 9


def test_a_drawn_start_inverts_the_prior_to_normal_noise(gaussians, conditions, seeded):
    """From samples of the prior, drawn noise at the first level lies on the flow, which ends at N(0, 1)."""
    x = gaussians.means[:1] + STD * torch.randn(2000, 1, 4, 4, generator=seeded(5), dtype=torch.float64)
    x_t, _ = invert(gaussians, x, 999, conditions(gaussians, 2000), steps=100, start="noise")
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([999]))
    expected = float(((alpha * STD) ** 2 + sigma**2).sqrt())
    assert float((x_t - alpha * gaussians.means[:1]).std()) == pytest.approx(expected, rel=0.02)


def test_inversion_converges_to_the_flow_at_first_order(gaussians, conditions, x):
    all_conditions, target = conditions(gaussians, 2), flow(gaussians, x, 800)
    errors = [(invert(gaussians, x, 800, all_conditions, n)[0] - target).norm() for n in (25, 50, 100, 200)]
    ratios = [float(coarse / fine) for coarse, fine in pairwise(errors)]
    assert all(1.8 < ratio < 2.2 for ratio in ratios), ratios
    assert errors[-1] < 0.015 * target.norm()


def test_guided_inversion_follows_the_guided_mean(gaussians, conditions, x):
    """Guidance moves a Gaussian's mean and nothing else, so the closed form holds with the moved mean."""
    all_conditions = conditions(gaussians, 2, away="1")
    x_t, _ = invert(gaussians, x, 800, all_conditions, 200, scale=3.0)
    gaussians.means = gaussians.means[1:] + 3 * (gaussians.means[:1] - gaussians.means[1:])
    target = flow(gaussians, x, 800)
    assert (x_t - target).norm() < 0.015 * target.norm()


def test_sampling_undoes_inversion(gaussians, conditions, x):
    all_conditions, t = conditions(gaussians, 2), torch.full((2,), 800)
    errors = []
    for steps in (250, 500, 1000):
        x_t, _ = invert(gaussians, x, 800, all_conditions, steps)
        errors.append(float((ddim_sample(gaussians, x_t, t, all_conditions, steps, 1.0) - x).norm() / x.norm()))
    assert all(1.8 < coarse / fine < 2.2 for coarse, fine in pairwise(errors)), errors
    assert errors[-1] < 0.011


def test_sampling_from_noise_draws_the_prior(gaussians, conditions, seeded):
    noise = torch.randn(1000, 1, 4, 4, generator=seeded(), dtype=torch.float64)
    samples = ddim_sample(gaussians, noise, torch.full((1000,), 999), conditions(gaussians, 1000), 250, 1.0)
    torch.testing.assert_close(samples.mean(0), gaussians.means[0], atol=5 * STD / 1000**0.5, rtol=0)
    assert float((samples - gaussians.means[0]).std()) == pytest.approx(STD, rel=0.03)


def test_eta_adds_posterior_noise_on_top_of_each_step(gaussians, conditions, x):
    all_conditions, eta = conditions(gaussians, 2), 0.3
    still, moved = (invert(gaussians, x, 150, all_conditions, eta=e, seed=3)[0] for e in (0.0, eta))
    generator = torch.Generator().manual_seed(3)
    noise_like(x, generator)  # that of the step from clean, whose deviation is zero
    below, above = gaussians.alphas_cumprod[50], gaussians.alphas_cumprod[150]
    deviation = ((1 - below) / (1 - above) * (1 - above / below)).sqrt()
    torch.testing.assert_close(moved - still, eta * deviation * noise_like(x, generator))


def test_views_share_one_level(gaussians, conditions, x, seeded):
    with pytest.raises(AssertionError, match="one noise level"):
        ddim_inversion(Batch(gaussians, x, torch.tensor([100, 200]), conditions(gaussians, 2), 0.0, seeded()), 10, 1.0)
