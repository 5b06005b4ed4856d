"""Asynchronous ASD: two levels of one noise."""

import msgspec
import pytest
import torch

from backend.guidance.guide import noise_like, noised
from backend.guidance.rules.asd_async import Asynchronous, AsynchronousOptions, shifted
from backend.guidance.rules.csd import CSD, CSDOptions
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.priors.base import Counted, alpha_sigma

STD, LEVEL, LATER = 0.5, 500, 548  # 500 + 0.1 (500 - 20)
LARGEST = AsynchronousOptions(random_shift=False)


def test_the_same_noise_at_both_levels(gaussians, x, stepped, exact, seeded):
    score = stepped(Asynchronous(LARGEST), gaussians, x, LEVEL, away="1")
    eps = noise_like(x, seeded())
    x_t, x_later = (noised(gaussians, x, torch.full((2,), level), eps) for level in (LEVEL, LATER))
    difference = exact(gaussians, x_t, LEVEL, scale=7.5) - exact(gaussians, x_later, LATER)
    torch.testing.assert_close(score.gradient, (1 - gaussians.alphas_cumprod[LEVEL]) * difference)


def test_without_a_shift_it_is_csd(mixture, points, stepped):
    still = stepped(Asynchronous(AsynchronousOptions(shift=0.0)), mixture, points, LEVEL).gradient
    torch.testing.assert_close(still, stepped(CSD(CSDOptions(guidance_scale=6.5)), mixture, points, LEVEL).gradient)


def test_expected_gradient_and_its_noise(one_mode, x, stepped, spread):
    """Mean [sigma alpha / v at t, less that at t+] (x - mu); noise [sigma^2 / v at t, less that at t+] eps."""
    batch = 4000
    many = x[:1].expand(batch, -1, -1, -1)
    plain = msgspec.structs.replace(LARGEST, weight="one", guidance_scale=1.0)
    gradient = stepped(Asynchronous(plain), one_mode, many, LEVEL).gradient
    pull, noise = [], []
    for level in (LEVEL, LATER):
        alpha, sigma = alpha_sigma(one_mode, torch.tensor([level]))
        pull.append(sigma * alpha / spread(one_mode, level))
        noise.append(sigma**2 / spread(one_mode, level))
    expected = ((pull[0] - pull[1]) * (x[:1] - one_mode.means))[0]
    error = gradient.std(0) / batch**0.5
    assert ((gradient.mean(0) - expected).abs() < 5 * error).all()
    assert float(expected.norm()) > 20 * float(error.norm())
    assert float((gradient - expected).std()) == pytest.approx(float((noise[0] - noise[1]).abs()), rel=0.02)
    sds = stepped(SDS(SDSOptions(weight="one", guidance_scale=1.0)), one_mode, many, LEVEL).gradient
    assert float(gradient.std(0).mean()) < 0.5 * float(sds.std(0).mean())


def test_the_shift_is_drawn_from_the_generator(gaussians, x, stepped, seeded):
    rule = Asynchronous(AsynchronousOptions())
    first, again, other = (stepped(rule, gaussians, x, LEVEL, generator=seeded(s)).gradient for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    largest = stepped(Asynchronous(LARGEST), gaussians, x, LEVEL, generator=seeded(1)).gradient
    assert not torch.allclose(first, largest)


def test_shifts_stay_in_the_schedule():
    t = torch.tensor([5, 20, 500, 900, 998])
    assert shifted(t, 0.1, 1000).tolist() == [5, 20, 548, 988, 998]
    assert shifted(t, 0.0, 1000).tolist() == t.tolist()
    assert shifted(torch.tensor([250]), 0.1, 500).tolist() == [274]


def test_costs_one_forward_of_three_rows_a_view(gaussians, x, stepped):
    counted = Counted(gaussians)
    stepped(Asynchronous(AsynchronousOptions()), counted, x, LEVEL, away="1")
    assert (counted.calls, counted.rows) == (1, 6)


@pytest.mark.parametrize("bad", [{"shift": -0.1}, {"shift": 1.5}, {"random_shift": 1}, {"gamma": -0.75}])
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, AsynchronousOptions)
