"""The score of a set of pictures, against the mixture of Gaussians that it is the score of."""

import math

import pytest
import torch

from backend.priors.analytic import Analytic
from backend.priors.local_score import (
    NEGLIGIBLE,
    box_sum,
    denoised,
    log_likelihood,
    posterior,
    rgba_to_x,
    window_side,
)

SIDE, COUNT = 24, 5


@pytest.fixture
def pictures():
    return torch.rand(COUNT, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def noisy(pictures, alpha_bar, seed=1):
    eps = torch.randn(pictures.shape[1:], generator=torch.Generator().manual_seed(seed))
    return alpha_bar**0.5 * (0.6 * pictures[0] + 0.4 * pictures[1]) + (1 - alpha_bar) ** 0.5 * eps


def test_a_box_sum_is_a_sum_over_the_clipped_window():
    values = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0))
    sums = box_sum(values, 5)
    assert sums[1, 4, 4].item() == pytest.approx(values[1, 2:7, 2:7].sum().item(), rel=1e-5)
    assert sums[2, 0, 8].item() == pytest.approx(values[2, :3, 6:].sum().item(), rel=1e-5)
    torch.testing.assert_close(box_sum(values, 1), values)


@pytest.mark.parametrize("level", [100, 500, 900])
def test_whole_windows_give_the_exact_score_of_the_mixture(pictures, level):
    std = 0.1
    exact = Analytic(pictures, std)
    alpha_bar = float(exact.alphas_cumprod[level])
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    x_t, variance = noisy(pictures, alpha_bar), (alpha * std) ** 2 + sigma**2
    found = log_likelihood(x_t, pictures, pictures.square().sum(1), alpha, variance, SIDE)
    eps = sigma / variance * (x_t - alpha * denoised([found], [pictures])[0])
    wanted = exact.predict(x_t[None], torch.tensor([level]), exact.condition([""]))[0]
    torch.testing.assert_close(eps, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [1, 7, 23])
def test_windows_give_the_softmax_of_the_squared_distances_in_them(pictures, side):
    alpha_bar = 0.3
    alpha, variance = alpha_bar**0.5, alpha_bar * 0.01 + 0.7
    x_t = noisy(pictures, alpha_bar)
    squared = (x_t - alpha * pictures).square().sum(1)
    wanted = torch.stack([(-box_sum(one, side) / (2 * variance)) for one in squared]).softmax(0)
    found = log_likelihood(x_t, pictures, pictures.square().sum(1), alpha, variance, side).softmax(0)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_ignored_pictures_change_the_estimate_by_no_more_than_the_bound(pictures):
    far = torch.tensor([0.0, -3.0, -NEGLIGIBLE - 0.1, -40.0, -NEGLIGIBLE + 0.1])[:, None, None].expand(-1, SIDE, SIDE)
    r, kept = posterior(far)
    assert kept.tolist() == [0, 1, 4]
    torch.testing.assert_close(r.sum(0), torch.ones(SIDE, SIDE))
    full = (far.softmax(0)[:, None] * pictures).sum(0)
    bound = 2 * (COUNT - 1) * math.exp(-NEGLIGIBLE) * float(pictures.abs().max())
    assert (denoised([far], [pictures])[0] - full).abs().max() <= bound + 1e-6
    # One that matters at a single pixel stays, and is zero elsewhere.
    spot = far.clone()
    spot[3, 2, 2] = 1.0
    r, kept = posterior(spot)
    assert kept.tolist() == [0, 1, 3, 4]
    assert r[2, 2, 2] > 0.5
    assert r[2].count_nonzero() == 1


def test_windows_shrink_with_the_noise_and_with_the_mix():
    assert [window_side(sigma, 0.5, 128) for sigma in (0.99, 0.95, 0.9, 0.8, 0.3)] == [128, 128, 65, 65, 33]
    assert [window_side(sigma, 0.0, 128) for sigma in (0.99, 0.5, 0.1)] == [128, 128, 128]
    assert [window_side(sigma, 1.0, 128) for sigma in (0.99, 0.9, 0.3)] == [45, 23, 13]
    assert window_side(0.99, 0.75, 128) == 77
    for mix in (0.1, 0.4, 0.9):
        assert window_side(0.3, mix, 64) % 2 == 1


def test_colour_is_over_grey_and_shrinks_as_a_mean():
    views = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    views[0, :2, :2] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)
    views[0, 2:, 2:] = torch.tensor([255, 255, 255, 0], dtype=torch.uint8)  # its colour is not seen
    x = rgba_to_x(views, 4)
    assert x[0, :, 0, 0].tolist() == [1, -1, -1, 1]
    assert x[0, :, 3, 3].tolist() == [0, 0, 0, -1]
    torch.testing.assert_close(rgba_to_x(views, 2), x.unflatten(2, (2, 2)).unflatten(4, (2, 2)).mean((3, 5)))
