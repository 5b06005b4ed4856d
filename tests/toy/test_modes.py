"""The mixture, histograms and divergences against closed forms."""

import math

import pytest
import torch

from backend.priors.base import alpha_sigma
from backend.studies.toy.divergences import divergences
from backend.studies.toy.modes import COUNT, LANDED, STD, draw, entropy, histogram, landed, log_density, means


@pytest.mark.parametrize("mode", [None, 3])
def test_exact_score_is_the_gradient_of_the_log_density(exact, mode):
    """At level 0 the noise is so small that the density is that of the data, but for its width and shrinking."""
    x = (means().repeat(4, 1) + 0.2 * torch.randn(32, 2, generator=torch.Generator().manual_seed(0))).requires_grad_()
    t = torch.zeros(32, dtype=torch.long)
    sigma = alpha_sigma(exact, t)[1]
    label = None if mode is None else torch.full((32,), mode)
    (score,) = torch.autograd.grad(log_density(x, label).sum(), x)
    eps = exact.predict(x[:, :, None, None], t, exact.condition(["" if mode is None else str(mode)] * 32))[:, :, 0, 0]
    torch.testing.assert_close(-eps / sigma[:, 0, 0], score, rtol=0.05, atol=0.2)
    assert score.abs().max() > 10


def test_log_density_is_that_of_torch():
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    components = torch.distributions.Independent(torch.distributions.Normal(means(), STD), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(COUNT)), components)
    torch.testing.assert_close(log_density(x), mixture.log_prob(x), rtol=1e-4, atol=1e-3)
    third = components.log_prob(x[:, None])[:, 2]
    torch.testing.assert_close(log_density(x, torch.full((50,), 2)), third, rtol=1e-4, atol=1e-3)


def test_most_drawn_points_have_landed_in_their_own_mode():
    points, mode = draw(20_000, torch.Generator().manual_seed(2))
    inside = landed(points)
    assert float((inside >= 0).float().mean()) == pytest.approx(1 - math.exp(-(LANDED**2) / 2), abs=0.003)
    assert (inside[inside >= 0] == mode[inside >= 0]).all()
    assert entropy(histogram(inside)) == pytest.approx(math.log(8), abs=0.01)


def test_the_centre_is_in_no_mode():
    assert landed(torch.zeros(3, 2)).tolist() == [-1, -1, -1]
    assert landed(means()).tolist() == list(range(8))
    assert histogram(torch.tensor([-1, 2, 2, 7])).tolist() == [0, 0, 2, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("counts", "nats"),
    [([8, 0, 0], 0.0), ([5, 5], math.log(2)), ([1] * 8, math.log(8)), ([3, 1], 0.5623351), ([0, 0], 0.0)],
)
def test_entropy_of_known_histograms(counts, nats):
    assert entropy(torch.tensor(counts)) == pytest.approx(nats, abs=1e-6)


def test_divergences_vanish_where_p_is_q_and_are_symmetric():
    curves = divergences()
    a = curves.pop("a")
    assert (len(a), float(a[0]), float(a[50]), float(a[100])) == (101, 0.0, 0.5, 1.0)
    for name, curve in curves.items():
        assert curve[50] == pytest.approx(0, abs=1e-12), name
        torch.testing.assert_close(curve, curve.flip(0), atol=1e-9, rtol=1e-9)
        assert (curve[51:].diff() > 0).all() or not curve[-1].isfinite(), name


def test_divergences_at_three_quarters():
    """p = (3/4, 1/4), q = (1/4, 3/4)."""
    at = {name: float(curve[75]) for name, curve in divergences().items()}
    assert at["KLD"] == pytest.approx(math.log(3) / 2)
    assert at["JD"] == pytest.approx(math.log(3))
    jsd = math.log(2) - entropy(torch.tensor([3, 1]))
    assert at["JSD"] == pytest.approx(jsd, abs=1e-6)
    assert at["approx"] == pytest.approx(jsd, abs=1e-6)
    assert at["G-JSD"] == pytest.approx(jsd, abs=1e-6)


def test_only_the_jensen_shannon_kind_is_bounded():
    ends = {name: float(curve[0]) for name, curve in divergences().items()}
    assert ends["KLD"] == ends["JD"] == math.inf
    assert ends["JSD"] == pytest.approx(math.log(2))
    assert ends["approx"] == pytest.approx(math.log(2))
