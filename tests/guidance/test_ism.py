"""ISM: the interval on a Gaussian's trajectory, its length, its cost."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions, guided, noise_like
from backend.guidance.inversion import ddim_inversion
from backend.guidance.rules.ism import ISM, ISMOptions
from backend.priors.base import Counted, alpha_sigma

STD = 0.5
T, S = 500, 400
UNIT = ISMOptions(weight="one", guidance_scale=1.0)


def bracket(prior, spread):
    """g = bracket / v_s (x_s - alpha_s mu) for one Gaussian, where the step from s to t is one of DDIM."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (alpha_sigma(prior, torch.tensor([level])) for level in (T, S))
    return sigma_t / spread(prior, T) * (alpha_t * alpha_s * STD**2 + sigma_t * sigma_s) - sigma_s


@pytest.mark.parametrize("name", ["one", "sigma/alpha"])
def test_closed_form_at_whatever_x_s_the_inversion_found(name, one_mode, conditions, x, stepped, spread, seeded):
    gradient = stepped(ISM(msgspec.structs.replace(UNIT, weight=name)), one_mode, x, T).gradient
    given, s = conditions(one_mode, 2), torch.full((2,), S)
    x_s, _ = ddim_inversion(Batch(one_mode, x, s, Conditions(given.null, given.null), 0.0, seeded()), 5, 1.0)
    alpha_t, sigma_t = alpha_sigma(one_mode, torch.tensor([T]))
    w = 1 if name == "one" else sigma_t / alpha_t
    away = x_s - alpha_sigma(one_mode, s)[0] * one_mode.means
    torch.testing.assert_close(gradient, w * bracket(one_mode, spread) / spread(one_mode, S) * away)


def test_on_the_exact_flow_it_pulls_to_the_mean(one_mode, x, stepped, spread):
    """x_s - alpha_s mu = sqrt(v_s) / s (x - mu) there."""
    gradient = stepped(ISM(msgspec.structs.replace(UNIT, inversion_steps=1000)), one_mode, x, T).gradient
    factor = bracket(one_mode, spread) / spread(one_mode, S).sqrt() / STD
    expected = factor * (x - one_mode.means)
    assert (gradient - expected).norm() < 0.01 * expected.norm()
    assert factor > 0.01


def test_without_an_interval_it_is_the_direction_of_guidance(mixture, conditions, points, stepped, seeded):
    options = ISMOptions(weight="one", delta_start=0)
    given, t = conditions(mixture, 100), torch.full((100,), T)
    x_t, _ = ddim_inversion(Batch(mixture, points, t, Conditions(given.null, given.null), 0.0, seeded()), 5, 1.0)
    difference = guided(mixture, x_t, t, given, 7.5)[0] - mixture.predict(x_t, t, given.null)
    torch.testing.assert_close(stepped(ISM(options), mixture, points, T).gradient, difference)


def test_the_inversion_uses_no_prompt_and_guidance_the_negative_one(gaussians, conditions, x, stepped):
    """Another prompt and negative prompt change only eps_hat, which is linear in their means."""
    rule = ISM(msgspec.structs.replace(UNIT, guidance_scale=3.0))
    one = stepped(rule, gaussians, x, T, away="1").gradient
    given = conditions(gaussians, 2, away="1")
    swapped = Conditions(given.neg, given.null, given.y)
    other = rule.gradient(Batch(gaussians, x, torch.full((2,), T), swapped, 0.0, torch.Generator()))
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([T]))
    apart = gaussians.means[0] - gaussians.means[1]
    means = 5 * apart  # m_1 + 3 (m_0 - m_1) less m_0 + 3 (m_1 - m_0)
    torch.testing.assert_close(
        one - other.gradient,
        (-sigma * alpha * means / (alpha**2 * STD**2 + sigma**2)).expand_as(x),
    )


def test_the_interval_shrinks_while_warming_up():
    rule = ISM(ISMOptions())
    assert [rule.delta(progress, 1000) for progress in (0.0, 0.15, 0.3, 1.0)] == [100, 90, 80, 80]
    assert rule.delta(0.0, 500) == 50


@pytest.mark.parametrize(("level", "calls"), [(980, 7), (500, 4), (101, 3), (20, 3)])
def test_cost_falls_with_t(level, calls, gaussians, x, stepped):
    """As many long steps as fit below s, one to t, and one guided forward of two rows a view."""
    counted = Counted(gaussians)
    stepped(ISM(ISMOptions()), counted, x, level)
    assert (counted.calls, counted.rows) == (calls, 2 * (calls - 1) + 4)


def test_a_drawn_start_costs_one_forward_less(gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(ISM(ISMOptions(inversion_start="noise")), counted, x, T)
    assert counted.calls == 3


def test_a_drawn_start_at_the_bottom_is_the_forward_diffusion_of_its_noise(one_mode, x, stepped, spread, seeded):
    """With s = 0 nothing is inverted: x_s = alpha_0 x + sigma_0 eps."""
    score = stepped(ISM(msgspec.structs.replace(UNIT, inversion_start="noise", delta_start=1000)), one_mode, x, T)
    (alpha_t, sigma_t), (alpha_0, sigma_0) = (alpha_sigma(one_mode, torch.tensor([level])) for level in (T, 0))
    away = alpha_0 * (x - one_mode.means) + sigma_0 * noise_like(x, seeded())
    both = sigma_t / spread(one_mode, T) * (alpha_t * alpha_0 * STD**2 + sigma_t * sigma_0) - sigma_0
    torch.testing.assert_close(score.gradient, both / spread(one_mode, 0) * away)


@pytest.mark.parametrize("bad", [{"delta_start": -1}, {"warm_up": 0}, {"inversion_steps": 0}, {"delta": 80}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, ISMOptions)
