"""Fig. 11's figures where they are known: a prior of one narrow Gaussian, whose prediction is the noise itself."""

import numpy as np
import pytest
import torch
from kits import small_catalogue
from PIL import Image

from backend.priors.analytic import Analytic
from backend.priors.catalogue import STD, CataloguePrior
from backend.studies.evaluate.noise import CUT_OFFS, LEVELS, coefficients, figure, measure, on_its_own


@pytest.fixture(scope="module")
def prior():
    return Analytic(torch.zeros(1, 3, 8, 8), std=1e-3)


def test_of_a_point_the_prediction_is_the_noise(prior):
    found = measure(prior, prior.condition(["0"] * 8), torch.zeros(2, 8, 3, 8, 8))
    high = [i for i, t in enumerate(LEVELS) if t > 100]
    for name in ("variance", "correlation", "share", "least noise"):
        np.testing.assert_allclose(np.array(found[name])[high], 1, atol=0.06)


def test_both_coefficients_of_a_known_prediction():
    """For pictures of the prior's own Gaussian eps_y = sigma / v (alpha x + sigma eps): its covariance with eps and
    its variance are both sigma^2 / v, as an expectation's are."""
    std = 0.25
    prior = Analytic(torch.zeros(1, 3, 8, 8), std)
    x = std * torch.randn(50, 8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    found = measure(prior, prior.condition(["0"] * 8), x)
    for i, t in enumerate(LEVELS):
        alpha_bar = float(prior.alphas_cumprod[t])
        v = alpha_bar * std**2 + 1 - alpha_bar
        assert found["share"][i] == pytest.approx((1 - alpha_bar) / v, abs=0.02)
        assert found["least noise"][i] == pytest.approx(1, abs=0.05)


def test_of_a_kits_own_objects_the_prediction_is_a_known_multiple_of_the_noise(tmp_path):
    """Where its posterior is sure, a kit guesses the picture itself, so that eps_y = sigma^2 / v eps: cov / var(eps) is
    sigma^2 / v, and its inverse is the least noise."""
    prior = CataloguePrior(small_catalogue(tmp_path, ["Apple", "Sofa"]), "a sofa")
    found = on_its_own(prior)
    for i, t in enumerate(LEVELS):
        alpha_bar = float(prior.alphas_cumprod[t])
        share = (1 - alpha_bar) / (alpha_bar * STD**2 + 1 - alpha_bar)
        assert found["share"][i] == pytest.approx(share, abs=1e-3)
        assert found["least noise"][i] == pytest.approx(1 / share, rel=5e-3)
        assert found["correlation"][i] == pytest.approx(1, abs=1e-3)


def test_coefficients_are_those_of_eq_18(prior):
    found = coefficients(prior)
    for cut_off in CUT_OFFS:
        for t, value in zip(LEVELS, found[f"cut-off {cut_off}"], strict=True):
            assert value == pytest.approx(1.0 if t > cut_off else 1 - float(prior.alphas_cumprod[t]), abs=1e-6)


def test_the_figure_shows_where_a_curve_is(tmp_path):
    rows = []
    for height in (0.25, 0.75, 1.25):
        figure({"one": [height] * len(LEVELS)}, tmp_path / "fig.png")
        picture = np.asarray(Image.open(tmp_path / "fig.png").convert("RGB"), int)
        blue = np.abs(picture - (0, 114, 178)).max(2) < 60
        rows.append(np.flatnonzero(blue.mean(1) > 0.5).mean())  # the legend's stroke is shorter
    assert rows[0] > rows[1] > rows[2]
    assert rows[0] - rows[1] == pytest.approx(rows[1] - rows[2], abs=2)
