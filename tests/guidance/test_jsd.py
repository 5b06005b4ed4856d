"""JSD: Eq. 12 and the released rule against closed forms and against the released code's own terms."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import guided, noise_like
from backend.guidance.inversion import ddim_inversion
from backend.guidance.rules.jsd import JSD, RELEASED, JSDOptions
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.priors.base import Counted, alpha_sigma

STD = 0.5


def run(options, prior, x, level, conditions, seed=0):
    t = torch.full((len(x),), level)
    return JSD(options).gradient(Batch(prior, x, t, conditions, 0.0, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("denoise_guided", [False, True])
@pytest.mark.parametrize("name", ["one", "alpha/sigma", "sigma/alpha"])
def test_equation_12_for_a_gaussian(denoise_guided, name, gaussians, conditions, x, exact, seeded):
    """The prediction is linear in x_t: g = w sigma/v (x_hat - x_bar) and x_hat - x_bar = sigma (e - eps)."""
    level, all_conditions, options = 500, conditions(gaussians, 2, away="1"), JSDOptions(weight=name)
    options = msgspec.structs.replace(options, denoise_guided=denoise_guided)
    score = run(options, gaussians, x, level, all_conditions)
    x_hat, _ = ddim_inversion(Batch(gaussians, x, torch.full((2,), level), all_conditions, 0.0, seeded()), 10, 1.0)
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([level]))
    w = {"one": 1.0, "alpha/sigma": alpha / sigma, "sigma/alpha": sigma / alpha}[name]
    e = exact(gaussians, x_hat, level, 13.5 if denoise_guided else 1.0)
    expected = w * sigma**2 / ((alpha * STD) ** 2 + sigma**2) * (e - noise_like(x, seeded()))
    torch.testing.assert_close(score.gradient, expected)


def test_expected_gradient_pulls_to_the_mean(gaussians, conditions, x, seeded):
    """With the exact flow, E g = w sigma^3 / (s v^1.5) (x - mu), whatever the guidance: it vanishes at the mean."""
    level, batch = 500, 3000
    alpha, sigma = alpha_sigma(gaussians, torch.tensor([level]))
    many = torch.cat([x[:1].expand(batch, -1, -1, -1), gaussians.means[:1].expand(batch, -1, -1, -1)])
    options = JSDOptions(weight="one", inversion_steps=200)
    gradient = run(options, gaussians, many, level, conditions(gaussians, 2 * batch, away="1")).gradient
    factor = sigma**3 / (STD * ((alpha * STD) ** 2 + sigma**2) ** 1.5)
    far, near = gradient.unflatten(0, (2, batch)).mean(1)
    noise = float(gradient[batch:].std()) / batch**0.5
    torch.testing.assert_close(far, (factor * (x[:1] - gaussians.means[:1]))[0], atol=5 * noise, rtol=0.02)
    assert near.abs().max() < 5 * noise < 0.1 * far.abs().max()


@pytest.mark.parametrize("k", [0.0, 1.0, 2.5])
def test_released_rule_pulls_to_two_denoised_targets(k, mixture, conditions, points):
    """The authors' loss is |x - target_1|^2 / 2 + k |x - target_2|^2 / 2, with targets denoised in one step."""
    level, t, generator = 600, torch.full((100,), 600), torch.Generator().manual_seed(0)
    all_conditions = conditions(mixture, 100)
    score = run(msgspec.structs.replace(RELEASED, k=k), mixture, points, level, all_conditions)
    alpha, sigma = alpha_sigma(mixture, t)
    x_hat, _ = ddim_inversion(Batch(mixture, points, t, all_conditions, 0.0, generator), 10, -13.5, 0.3)
    first = (x_hat - sigma * guided(mixture, x_hat, t, all_conditions, 13.5)[0]) / alpha
    x_bar = alpha * first + sigma * noise_like(points, generator)
    second = (x_bar - sigma * guided(mixture, x_bar, t, all_conditions, 13.5)[0]) / alpha
    torch.testing.assert_close(score.gradient, (points - first) + k * (points - second))


def test_released_rule_is_sdi_plus_sds_at_the_denoised_estimate(mixture, conditions, points):
    level, t, generator = 600, torch.full((100,), 600), torch.Generator().manual_seed(0)
    all_conditions, (alpha, sigma) = conditions(mixture, 100), alpha_sigma(mixture, t)
    x_hat, eps_inv = ddim_inversion(Batch(mixture, points, t, all_conditions, 0.0, generator), 10, -13.5, 0.3)
    eps_hat, _ = guided(mixture, x_hat, t, all_conditions, 13.5)
    sds = SDS(SDSOptions(guidance_scale=13.5, weight="sigma/alpha")).gradient(
        Batch(mixture, (x_hat - sigma * eps_hat) / alpha, t, all_conditions, 0.0, generator)
    )
    expected = 2 * sigma / alpha * (eps_hat - eps_inv) + sds.gradient
    torch.testing.assert_close(run(RELEASED, mixture, points, level, all_conditions).gradient, expected)


def test_at_low_noise_the_minority_sample_follows_the_estimate_better_than_plain_noise(mixture, conditions, points):
    """The paper's claim (Fig. 4).  At high t it is the other way round: there any prediction is the noise itself."""
    all_conditions, t = conditions(mixture, 100), torch.full((100,), 50)
    jsd = run(JSDOptions(), mixture, points, 50, all_conditions)
    sds = SDS(SDSOptions(guidance_scale=13.5)).gradient(
        Batch(mixture, points, t, all_conditions, 0.0, torch.Generator())
    )
    assert jsd.metrics["corr"] > 0.4
    assert sds.metrics["corr"] < 0.3


@pytest.mark.parametrize(("options", "rows"), [(JSDOptions(), 10 + 4), (RELEASED, 20 + 4)])
def test_cost_at_980_is_ten_forwards_of_inversion_and_two_of_scores(options, rows, gaussians, conditions, x):
    counted = Counted(gaussians)
    run(options, counted, x, 980, conditions(gaussians, 2))
    assert (counted.calls, counted.rows) == (12, 2 * rows)


@pytest.mark.parametrize(("level", "calls"), [(600, 8), (250, 5), (20, 3)])
def test_cost_falls_with_t(level, calls, gaussians, conditions, x):
    counted = Counted(gaussians)
    run(JSDOptions(), counted, x, level, conditions(gaussians, 2))
    assert counted.calls == calls


def test_a_seed_decides_the_step(mixture, conditions, points):
    first, again, other = (run(RELEASED, mixture, points, 500, conditions(mixture, 100), s).gradient for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "bad",
    [
        {"rule": "eq12"},
        {"inversion_steps": 0},
        {"inversion_eta": -0.1},
        {"inversion_eta": 1.5},
        {"k": -1},
        {"steps": 5},
    ],
)
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, JSDOptions)
