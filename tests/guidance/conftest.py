"""Priors with known scores, and the samples that the rules are tried on."""

import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions
from backend.priors.analytic import Analytic, linear

STD = 0.5


@pytest.fixture(autouse=True)
def one_thread():
    """These tensors are small: threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def gaussians():
    """Mode 0 is the prompt, mode 1 the negative prompt: each prediction is linear in x_t."""
    generator = torch.Generator().manual_seed(7)
    return Analytic(torch.randn(2, 1, 4, 4, generator=generator, dtype=torch.float64), STD)


@pytest.fixture
def mixture():
    """The JSD paper's toy: eight modes on the unit circle, as pictures of one pixel with two channels."""
    angle = torch.arange(8, dtype=torch.float64) * torch.pi / 4
    return Analytic(torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None], 0.1, linear())


@pytest.fixture
def conditions():
    """Of a batch: mode 0 wanted, `away` (a mode, or "" for none) left."""

    def make(prior, batch, away=""):
        negative = prior.condition([away] * batch) if away else None
        return Conditions(prior.condition(["0"] * batch), prior.condition([""] * batch), negative)

    return make


@pytest.fixture
def x(gaussians):
    """Two samples (2,1,4,4) for the Gaussians."""
    return torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


@pytest.fixture
def points():
    """A hundred points (100,2,1,1) around the circle, for the mixture."""
    return torch.randn(100, 2, 1, 1, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture
def seeded():
    """A generator from a seed."""
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture
def exact():
    """The closed form of a Gaussian's prediction, guided away from mode 1: sigma (x_t - alpha m_s) / v."""

    def eps(prior, x_t, t, scale=1.0):
        alpha, sigma = prior.alphas_cumprod[t].sqrt(), (1 - prior.alphas_cumprod[t]).sqrt()
        mean = prior.means[1] + scale * (prior.means[0] - prior.means[1])
        return sigma * (x_t - alpha * mean) / (alpha**2 * STD**2 + sigma**2)

    return eps


@pytest.fixture
def stepped(conditions):
    """One step of a rule on a prior, at one level for all samples: its score."""

    def run(rule, prior, x, level, away="", progress=0.0, generator=None):
        t = torch.full((len(x),), level)
        dice = generator or torch.Generator().manual_seed(0)
        return rule.gradient(Batch(prior, x, t, conditions(prior, len(x), away), progress, dice))

    return run


@pytest.fixture
def one_mode(gaussians):
    """A single Gaussian: whatever the prompt, the prediction is linear in x_t."""
    return Analytic(gaussians.means[:1], STD)


@pytest.fixture
def spread():
    """v_t = alpha_t^2 s^2 + sigma_t^2: the variance of x_t around alpha_t times a Gaussian's mean."""
    return lambda prior, t: prior.alphas_cumprod[t] * STD**2 + 1 - prior.alphas_cumprod[t]
