"""Consistent3D: two points of one trajectory, one noise for the whole run."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import noise_like
from backend.guidance.rules.consistent3d import Consistent3D, Consistent3DOptions
from backend.priors.analytic import Analytic, linear
from backend.priors.base import Counted, alpha_sigma

STD, LOW, HIGH = 0.5, 400, 600
FIXED = Consistent3DOptions(guidance_scale=3.0, guidance_scale_end=3.0, gap_low=200, gap_high=200)


def noise(generator, shape=(1, 1, 4, 4)):
    """What the rule draws: first the gap, then the noise."""
    torch.rand((), generator=generator)
    return noise_like(torch.zeros(shape, dtype=torch.float64), generator)


def test_the_difference_of_two_estimates_on_one_trajectory(gaussians, x, stepped, exact, seeded):
    gradient = stepped(Consistent3D(FIXED), gaussians, x, LOW, away="1").gradient
    (alpha, sigma), (alpha_low, sigma_low) = (alpha_sigma(gaussians, torch.tensor([level])) for level in (HIGH, LOW))
    x_t = alpha * x + sigma * noise(seeded())
    eps_high = exact(gaussians, x_t, HIGH, scale=3.0)
    denoised = (x_t - sigma * eps_high) / alpha
    x_low = alpha_low * denoised + sigma_low * eps_high
    eps_low = exact(gaussians, x_low, LOW, scale=3.0)
    torch.testing.assert_close(gradient, eps_high - eps_low)
    denoised_low = (x_low - sigma_low * eps_low) / alpha_low
    torch.testing.assert_close(gradient, alpha_low / sigma_low * (denoised_low - denoised))


def test_on_average_over_the_noise_it_pulls_to_the_guided_mean(gaussians, x, stepped):
    """With rho = sigma/alpha and z = x_t/alpha, eps = rho (z - m)/(s^2 + rho^2), by which each step shrinks z - m."""
    batch = 4000
    many = x[:1].expand(batch, -1, -1, -1)
    rule = Consistent3D(msgspec.structs.replace(FIXED, fresh_noise=True))
    gradient = stepped(rule, gaussians, many, LOW, away="1").gradient
    rho, rho_low = (
        float(((1 - gaussians.alphas_cumprod[t]) / gaussians.alphas_cumprod[t]).sqrt()) for t in (HIGH, LOW)
    )
    shrinks = 1 - (rho - rho_low) * rho / (STD**2 + rho**2)
    factor = rho / (STD**2 + rho**2) - rho_low / (STD**2 + rho_low**2) * shrinks
    mean = gaussians.means[1] + 3 * (gaussians.means[0] - gaussians.means[1])
    expected = factor * (x[0] - mean)
    error = gradient.std(0) / batch**0.5
    assert factor > 0  # so that descent goes to the mean
    assert ((gradient.mean(0) - expected).abs() < 5 * error).all()
    assert float(expected.norm()) > 5 * float(error.norm())


def test_one_noise_for_all_views_and_steps(gaussians, x, stepped, seeded):
    alike, generator = x[:1].expand(3, -1, -1, -1), seeded()
    rule, fresh = Consistent3D(FIXED), Consistent3D(msgspec.structs.replace(FIXED, fresh_noise=True))
    first, second = (stepped(rule, gaussians, alike, LOW, generator=generator).gradient for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first[0], first[2])
    varied = stepped(fresh, gaussians, alike, LOW).gradient
    assert not torch.allclose(varied[0], varied[2])
    assert fresh.state_dict() == {}


def test_a_restored_rule_keeps_its_noise(gaussians, x, stepped, seeded):
    rule, generator = Consistent3D(Consistent3DOptions()), seeded(5)
    stepped(rule, gaussians, x, LOW, generator=generator)
    state, restored, other = (
        generator.get_state(),
        Consistent3D(Consistent3DOptions()),
        Consistent3D(Consistent3DOptions()),
    )
    restored.load_state_dict(rule.state_dict())
    uninterrupted = stepped(rule, gaussians, x, LOW, generator=generator).gradient
    generator.set_state(state)
    assert torch.equal(stepped(restored, gaussians, x, LOW, generator=generator).gradient, uninterrupted)
    generator.set_state(state)
    assert not torch.allclose(stepped(other, gaussians, x, LOW, generator=generator).gradient, uninterrupted)
    restored.load_state_dict(Consistent3D(Consistent3DOptions()).state_dict())  # of a run that took no step
    assert restored.eps is None


def test_samples_of_another_size_get_new_noise(one_mode, x, stepped):
    rule = Consistent3D(FIXED)
    stepped(rule, one_mode, x, LOW)
    one_mode.means = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    stepped(rule, one_mode, torch.zeros(2, 1, 8, 8, dtype=torch.float64), LOW)
    assert rule.eps is not None
    assert rule.eps.shape == (1, 1, 8, 8)


@pytest.mark.parametrize(("progress", "scale"), [(0.0, 100.0), (0.5, 75.0), (1.0, 50.0)])
def test_guidance_falls_over_the_run(progress, scale, gaussians, x, stepped):
    held = Consistent3DOptions(guidance_scale=scale, guidance_scale_end=scale)
    falling = stepped(Consistent3D(Consistent3DOptions()), gaussians, x, LOW, away="1", progress=progress).gradient
    torch.testing.assert_close(falling, stepped(Consistent3D(held), gaussians, x, LOW, away="1").gradient)


def test_levels_stay_in_the_schedule(gaussians, conditions, x, seeded):
    generator, coarse = seeded(), Analytic(gaussians.means, 0.5, linear(500))

    def levels(rule, prior, t):
        given = conditions(prior, len(t))
        return [level.t for level in rule._levels(Batch(prior, x, torch.tensor(t), given, 0.0, generator))]

    rule = Consistent3D(Consistent3DOptions())
    gaps = [int(high - low) for high, low in (levels(rule, gaussians, [400]) for _ in range(200))]
    assert 100 <= min(gaps) < 120
    assert 280 < max(gaps) < 300
    assert [level.tolist() for level in levels(rule, gaussians, [998, 998])] == [[998] * 2, [997] * 2]
    high, low = levels(Consistent3D(FIXED), coarse, [200])
    assert int(high - low) == 100


def test_costs_two_forwards_of_two_rows_a_view(gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(Consistent3D(Consistent3DOptions()), counted, x, LOW)
    assert (counted.calls, counted.rows) == (2, 8)


@pytest.mark.parametrize("bad", [{"gap_low": 0}, {"gap_high": 1000}, {"guidance_scale_end": -1}, {"share_noise": True}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, Consistent3DOptions)
