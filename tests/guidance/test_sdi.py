"""SDI: against the exact flow of a Gaussian, against its loss, and against JSD's released rule."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import guided
from backend.guidance.inversion import ddim_inversion
from backend.guidance.rules.jsd import JSD, RELEASED
from backend.guidance.rules.sdi import SDI, SDIOptions
from backend.priors.base import Counted, alpha_sigma

STD = 0.5
PLAIN = SDIOptions(guidance_scale=1.0, inversion_guidance_scale=1.0, inversion_eta=0.0)


def test_jsds_released_rule_without_its_minority_sample_is_sdi(mixture, points, stepped):
    released = msgspec.structs.replace(RELEASED, k=0.0, inversion_guidance_scale=-7.5, guidance_scale=7.5)
    sdi = stepped(SDI(SDIOptions()), mixture, points, 600).gradient
    assert torch.equal(sdi, stepped(JSD(released), mixture, points, 600).gradient)


def test_it_pulls_to_the_one_step_denoising(mixture, conditions, points, stepped, seeded):
    t, said = torch.full((100,), 600), conditions(mixture, 100)
    alpha, sigma = alpha_sigma(mixture, t)
    x_hat, _ = ddim_inversion(Batch(mixture, points, t, said, 0.0, seeded()), 10, -7.5, 0.3)
    denoised = (x_hat - sigma * guided(mixture, x_hat, t, said, 7.5)[0]) / alpha
    torch.testing.assert_close(stepped(SDI(SDIOptions()), mixture, points, 600).gradient, points - denoised)


@pytest.mark.parametrize("level", [300, 800])
def test_on_the_exact_flow_of_a_gaussian(level, gaussians, x, stepped, spread):
    """x_hat - alpha mu = sqrt(v)/s (x - mu), so that x minus its denoising is (1 - alpha s / sqrt(v)) (x - mu)."""
    fine = msgspec.structs.replace(PLAIN, inversion_steps=1000)
    gradient = stepped(SDI(fine), gaussians, x, level).gradient
    factor = 1 - (gaussians.alphas_cumprod[level] / spread(gaussians, level)).sqrt() * STD
    expected = factor * (x - gaussians.means[0])
    assert (gradient - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize(("level", "calls"), [(980, 11), (600, 7), (250, 4), (20, 2)])
def test_cost_falls_with_t(level, calls, gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(SDI(PLAIN), counted, x, level)
    assert (counted.calls, counted.rows) == (calls, 2 * calls)  # no prompt is asked for where guidance is 1
    counted = Counted(gaussians)
    stepped(SDI(msgspec.structs.replace(PLAIN, guidance_scale=2.0)), counted, x, level)
    assert (counted.calls, counted.rows) == (calls, 2 * (calls - 1) + 4)


@pytest.mark.parametrize("bad", [{"inversion_eta": -0.1}, {"inversion_start": "clean"}, {"k": 1.0}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, SDIOptions)
