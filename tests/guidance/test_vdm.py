"""VDM: the coefficient, the learned mapping, and what a checkpoint must hold."""

from itertools import pairwise

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import noise_like
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.guidance.rules.vdm import VDM, VDMOptions, lambda_t
from backend.priors.analytic import Analytic
from backend.priors.base import Counted, alpha_sigma

STD = 0.5


@pytest.fixture
def prior():
    """Two modes of 16x16, in the U-Net's own precision."""
    return Analytic(torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(3)), STD)


@pytest.fixture
def views():
    """Eight views, all alike."""
    return torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(4)).expand(8, -1, -1, -1)


@pytest.fixture
def step(prior, views, conditions):
    """One step of a rule at a level."""
    all_conditions = conditions(prior, 8, away="1")

    def run(rule, generator, level=600):
        return rule.gradient(Batch(prior, views, torch.full((8,), level), all_conditions, 0.0, generator))

    return run


@pytest.mark.parametrize(
    ("t", "total", "whole"), [(300, 1000, False), (301, 1000, True), (150, 500, False), (151, 500, True)]
)
def test_lambda_at_the_cut_off(t, total, whole):
    alpha_bar = torch.tensor(0.7)
    value = lambda_t(torch.tensor([t]), alpha_bar.sqrt().view(1, 1, 1, 1), 300, total)
    assert value.item() == pytest.approx(1.0 if whole else 0.3)


@pytest.mark.parametrize("level", [300, 301])
def test_the_rule_subtracts_lambda_times_the_control_variate(level, step, prior, views, exact, seeded):
    """While warming up the control variate is eps itself, which is known from the seed."""
    gradient = step(VDM(VDMOptions(warm_up=5, weight="one")), seeded(), level).gradient
    alpha, sigma = alpha_sigma(prior, torch.tensor([level]))
    eps = noise_like(views, seeded())
    share = 1.0 if level > 300 else 1 - prior.alphas_cumprod[level]
    expected = exact(prior, alpha * views + sigma * eps, level, 7.5) - share * eps
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_a_measured_share_removes_all_of_the_noise(step, prior, views, exact, seeded):
    """Without guidance and with eps for a control variate, the rest is perpendicular to eps."""
    options = VDMOptions(warm_up=5, annealing="measured", guidance_scale=1.0, weight="one")
    gradient = step(VDM(options), seeded(), 100).gradient
    alpha, sigma = alpha_sigma(prior, torch.tensor([100]))
    eps = noise_like(views, seeded())
    plain = exact(prior, alpha * views + sigma * eps, 100) - eps
    left, lost = (torch.cosine_similarity(g.flatten(1), eps.flatten(1)).abs() for g in (gradient, plain))
    assert left.max() < 1e-4
    assert lost.min() > 0.1


def test_a_warming_up_rule_is_sds(step, seeded):
    sds = step(SDS(SDSOptions(guidance_scale=7.5, weight="sigma/alpha")), seeded())
    torch.testing.assert_close(step(VDM(VDMOptions(warm_up=1)), seeded()).gradient, sds.gradient)


@pytest.mark.parametrize("start", ["residual", "plain"])
def test_the_mapping_learns_the_noise_and_the_rule_becomes_sds(start, step, prior, views, exact, seeded):
    """Given x, eps is a function of eps_y for a Gaussian, so E[eps | eps_y] is eps, and VDM is SDS without noise."""
    rule, generator = VDM(VDMOptions(start=start, fold=2, weight="one")), seeded()
    scores = [step(rule, generator) for _ in range(100)]
    alpha, sigma = alpha_sigma(prior, torch.tensor([600]))
    eps = noise_like(views, generator)
    untrained = (exact(prior, alpha * views + sigma * eps, 600) - eps).square().mean()
    last = scores[-1].metrics
    assert last["mapping_loss"] < 0.3 * untrained
    assert last["mapping_corr"] > 0.9 > scores[0].metrics["mapping_corr"]
    mean = torch.stack([score.gradient for score in scores[-20:]]).mean((0, 1))
    expected = exact(prior, alpha * views[0], 600, 7.5)[0]
    assert (mean - expected).norm() < 0.05 * expected.norm()


def test_costs_one_forward_of_two_rows_a_view(prior, views, conditions, seeded):
    counted = Counted(prior)
    VDM(VDMOptions()).gradient(Batch(counted, views, torch.full((8,), 600), conditions(prior, 8), 0.0, seeded()))
    assert (counted.calls, counted.rows) == (1, 16)


def test_a_restored_rule_resumes_bit_for_bit(step, seeded):
    generator, rule = seeded(5), VDM(VDMOptions(fold=2, train_every=2))
    for _ in range(3):
        step(rule, generator)
    state, dice = rule.state_dict(), generator.get_state()
    restored = VDM(VDMOptions(fold=2, train_every=2))
    restored.load_state_dict(state)
    assert restored.state_dict().keys() == state.keys()
    uninterrupted = [step(rule, generator).gradient for _ in range(3)]
    generator.set_state(dice)
    continued = [step(restored, generator).gradient for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(uninterrupted, continued, strict=True))
    assert all(torch.equal(value, restored.state_dict()[key]) for key, value in rule.state_dict().items())
    assert not torch.equal(state["mapping.conv_out.weight"], rule.state_dict()["mapping.conv_out.weight"])


def test_a_rule_that_took_no_step_is_restored_too(step, seeded):
    fresh, restored = VDM(VDMOptions()), VDM(VDMOptions())
    restored.load_state_dict(fresh.state_dict())
    assert torch.equal(step(fresh, seeded()).gradient, step(restored, seeded()).gradient)


def test_a_seed_decides_the_run(step, seeded):
    def run(seed):
        rule, generator = VDM(VDMOptions(start="plain")), seeded(seed)
        return [step(rule, generator).gradient for _ in range(2)][-1]

    torch.manual_seed(1)
    first = run(1)
    torch.manual_seed(2)  # which must not matter
    assert torch.equal(first, run(1))
    assert not torch.equal(first, run(2))


def test_the_mapping_is_trained_only_every_nth_step(step, seeded):
    rule, generator = VDM(VDMOptions(train_every=3)), seeded()
    weights = [(step(rule, generator), rule.state_dict()["mapping.conv_in.weight"])[1] for _ in range(5)]
    moved = [not torch.equal(a, b) for a, b in pairwise(weights)]
    assert moved == [False, False, True, False]


@pytest.mark.parametrize(
    "bad",
    [{"start": "zero"}, {"fold": 3}, {"learning_rate": 0}, {"cut_off": 1001}, {"train_every": 0}, {"cut": 300}],
)
def test_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, VDMOptions)
