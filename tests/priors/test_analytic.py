"""The analytic prior against autograd and against its own samples."""

import pytest
import torch

from backend.priors.analytic import Analytic, linear, scaled_linear
from backend.priors.base import Condition, PriorError, alpha_sigma


@pytest.fixture
def prior():
    means = torch.randn(3, 2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Analytic(means, 0.3)


@pytest.mark.parametrize("text", ["", "0", "2"])
@pytest.mark.parametrize("level", [0, 300, 999])
def test_prediction_is_the_score_of_the_density(text, level, prior):
    """By autograd through the written-out density."""
    x_t = torch.randn(5, 2, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    t = torch.full((5,), level)
    alpha, sigma = alpha_sigma(prior, t)
    modes = range(3) if text == "" else [int(text)]
    std = ((alpha * prior.std) ** 2 + sigma**2).sqrt().expand_as(x_t)
    log_p = [torch.distributions.Normal(alpha * prior.means[k], std).log_prob(x_t).sum((1, 2, 3)) for k in modes]
    (score,) = torch.autograd.grad(torch.logsumexp(torch.stack(log_p), 0).sum(), x_t)
    with torch.no_grad():
        torch.testing.assert_close(prior.predict(x_t, t, prior.condition([text] * 5)), -sigma * score)


def test_rows_have_their_own_text_and_level(prior):
    x_t = torch.randn(2, 2, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    both = prior.predict(x_t, torch.tensor([10, 700]), prior.condition(["1", ""]))
    joined = Condition.cat([prior.condition(["1"]), prior.condition([""])])
    for row, (text, level) in enumerate([("1", 10), ("", 700)]):
        one = prior.predict(x_t[row : row + 1], torch.tensor([level]), prior.condition([text]))
        torch.testing.assert_close(both[row : row + 1], one)
    torch.testing.assert_close(prior.condition(["1", ""]).tokens, joined.tokens)


def test_schedules_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    sd = diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    toy = diffusers.DDPMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
    torch.testing.assert_close(scaled_linear().float(), sd.alphas_cumprod, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(linear().float(), toy.alphas_cumprod, rtol=1e-4, atol=1e-6)


def test_pictures_go_there_and_back():
    prior = Analytic(torch.zeros(1, 3, 8, 8), 1.0)
    images = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(3))
    x = prior.encode(images)
    assert x.shape == (2, 3, 8, 8)
    assert x.min() < 0 < x.max()
    torch.testing.assert_close(prior.decode(x), images)
    assert prior.encode(torch.ones(1, 32, 32, 3)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("text", ["3", "-1", "a chair", "1.0"])
def test_a_text_that_names_no_mode_is_refused(text, prior):
    with pytest.raises(PriorError, match="from 0 to 2"):
        prior.condition(["0", text])
