"""Guidance, weights and noise, shared by all rules."""

import dataclasses

import pytest
import torch

from backend.guidance.base import between, correlation, scored, weight
from backend.guidance.guide import Conditions, estimate_all, guided, noise_like, noised
from backend.priors.analytic import Analytic
from backend.priors.base import Counted, alpha_sigma

T = torch.full((2,), 400)


def test_guidance_leaves_the_negative_prompt_for_the_prompt(gaussians, conditions, x, exact):
    eps_hat, eps_y = guided(gaussians, x, T, conditions(gaussians, 2, away="1"), 7.5)
    torch.testing.assert_close(eps_y, exact(gaussians, x, 400))
    torch.testing.assert_close(eps_hat, exact(gaussians, x, 400, scale=7.5))


def test_without_a_negative_prompt_guidance_leaves_no_prompt(mixture, conditions, points):
    t = torch.full((100,), 400)
    all_conditions = conditions(mixture, 100)
    eps_null, eps_y = (mixture.predict(points, t, c) for c in (all_conditions.null, all_conditions.y))
    eps_hat, _ = guided(mixture, points, t, all_conditions, 3.0)
    torch.testing.assert_close(eps_hat, eps_null + 3 * (eps_y - eps_null))
    assert (eps_y - eps_null).abs().max() > 0.1


def test_perp_neg_adds_what_is_perpendicular_to_the_prompt(mixture, conditions, points):
    t, weights = torch.full((100,), 400), torch.linspace(-2, 0, 100, dtype=torch.float64)
    other = mixture.condition(["3"] * 100)
    plain = conditions(mixture, 100)
    counted = Counted(mixture)
    eps_hat, _ = guided(counted, points, t, dataclasses.replace(plain, perp=((other, weights),)), 2.0)
    eps_null, eps_y, eps_3 = (mixture.predict(points, t, c).flatten(1) for c in (plain.null, plain.y, other))
    towards, aside = eps_y - eps_null, eps_3 - eps_null
    normal = torch.stack([-towards[:, 1], towards[:, 0]], 1)  # in the plane a perpendicular is a quarter turn
    perpendicular = (aside * normal).sum(1, keepdim=True) / (normal**2).sum(1, keepdim=True) * normal
    expected = eps_null + 2 * (towards + weights[:, None] * perpendicular)
    torch.testing.assert_close(eps_hat.flatten(1), expected)
    assert (counted.calls, counted.rows) == (1, 300)


def test_further_rows_share_the_forward_at_their_own_level(mixture, conditions, points):
    t, other, counted = torch.full((100,), 400), torch.full((100,), 700), Counted(mixture)
    given = conditions(mixture, 100)
    found = estimate_all(counted, points, t, given, (2 * points, other, given.y), (points, t, given.null))
    torch.testing.assert_close(found.more[0], mixture.predict(2 * points, other, given.y))
    torch.testing.assert_close(found.more[1], mixture.predict(points, t, given.null))
    torch.testing.assert_close(found.hat(3.0), guided(mixture, points, t, given, 3.0)[0])
    assert (counted.calls, counted.rows) == (1, 400)


def test_noised_is_the_forward_diffusion(gaussians, x):
    alpha_bar = gaussians.alphas_cumprod[400]
    eps = torch.ones_like(x)
    torch.testing.assert_close(noised(gaussians, x, T, eps), alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt())


def test_between_stops_at_its_end():
    assert [between(100, 50, progress) for progress in (0, 0.5, 1, 1.5)] == [100, 75, 50, 50]


@pytest.mark.parametrize(
    ("name", "expected"), [("one", 1.0), ("sigma^2", 0.64), ("alpha/sigma", 0.75), ("sigma/alpha", 4 / 3)]
)
def test_weights(name, expected):
    assert weight(name, torch.tensor(0.6), torch.tensor(0.8)).item() == pytest.approx(expected)


def test_noise_comes_from_the_generator_alone(x, seeded):
    torch.testing.assert_close(noise_like(x, seeded(1)), noise_like(x, seeded(1)), rtol=0, atol=0)
    assert not torch.equal(noise_like(x, seeded(1)), noise_like(x, seeded(2)))


def test_metrics_by_hand():
    a, b = torch.tensor([[[[3.0, 4.0]]], [[[0.0, 1.0]]]]), torch.tensor([[[[1.0, 2.0]]], [[[4.0, 3.0]]]])
    score = scored(a, a, b, extra=2.0)
    assert score.metrics["gradient_norm"] == pytest.approx(3.0)  # of 5 and 1
    assert score.metrics["corr"] == pytest.approx(-6 / 50**0.5)  # products of deviations -6, squares 10 and 5
    assert score.metrics["extra"] == 2.0
    assert correlation(a, 5 - 2 * a) == pytest.approx(-1.0)


def test_rescaled_guidance_has_the_prompts_own_contrast():
    """Lin et al.'s eq. 15 and 16, in the clean picture: at 1 it deviates as the prompt's does, at 0 nothing changes."""
    prior = Analytic(torch.stack([torch.full((1, 4, 4), -1.0), torch.eye(4)[None]]), 0.3)
    x_t = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 600)
    y, null = prior.condition(["1", "1"]), prior.condition(["", ""])
    alpha, sigma = alpha_sigma(prior, t)

    def contrast(eps):
        return ((x_t - sigma * eps) / alpha).std((1, 2, 3))

    hats = {phi: guided(prior, x_t, t, Conditions(y, null, rescale=phi), 8.0) for phi in (0.0, 0.5, 1.0)}
    eps_y = hats[0.0][1]
    torch.testing.assert_close(hats[0.0][0], prior_cfg(prior, x_t, t, y, null, 8.0))
    torch.testing.assert_close(contrast(hats[1.0][0]), contrast(eps_y))
    torch.testing.assert_close(contrast(hats[0.5][0]), (contrast(hats[0.0][0]) + contrast(eps_y)) / 2)
    assert (contrast(hats[0.0][0]) > 1.5 * contrast(eps_y)).all()


def prior_cfg(prior, x_t, t, y, null, scale):
    eps_y, eps_null = prior.predict(x_t, t, y), prior.predict(x_t, t, null)
    return eps_null + scale * (eps_y - eps_null)
