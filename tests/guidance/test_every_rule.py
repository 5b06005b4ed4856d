"""What every objective owes the loop, whatever its rule."""

import math

import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions
from backend.guidance.rules import RULES
from backend.job.tuning import default_recipe
from backend.priors.analytic import Analytic
from backend.run.assemble import make_objective

WANTED = torch.tensor([-0.5, -1.0], dtype=torch.float32)


@pytest.fixture
def prior():
    """Three modes of 16x16, in the U-Net's own precision."""
    return Analytic(torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(3)), 0.5)


@pytest.fixture
def views():
    """Two views."""
    return torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def make_conditions(prior):
    """Mode 0 wanted, mode 1 refused, mode 2 another view's: all that a job can ask for."""

    def make(negative=True, perp=True):
        y, null, neg, other = (prior.condition([text] * 2) for text in ("0", "", "1", "2"))
        return Conditions(y, null, neg if negative else None, ((other, WANTED),) if perp else ())

    return make


@pytest.mark.parametrize("where", ["embedded", "large"])
@pytest.mark.parametrize("name", RULES)
def test_a_step_with_the_recipes_options(name, where, prior, views, make_conditions):
    rule, before = make_objective(name, default_recipe(name, where).options), views.clone()
    t, generator = torch.full((2,), 600), torch.Generator().manual_seed(0)
    score = rule.gradient(Batch(prior, views, t, make_conditions(), 0.3, generator))
    assert score.gradient.shape == views.shape
    assert score.gradient.dtype == views.dtype
    assert not score.gradient.requires_grad
    assert score.gradient.isfinite().all()
    assert score.gradient.abs().max() > 0
    assert {"gradient_norm", "corr"} <= score.metrics.keys()
    assert all(math.isfinite(value) for value in score.metrics.values())
    assert torch.equal(views, before)


@pytest.mark.parametrize("name", RULES)
def test_prompt_negative_prompt_and_perp_neg_all_matter(name, prior, views, make_conditions):
    def step(conditions):
        rule = make_objective(name, default_recipe(name, "embedded").options)
        t, generator = torch.full((2,), 600), torch.Generator().manual_seed(0)
        return rule.gradient(Batch(prior, views, t, conditions, 0.3, generator)).gradient

    whole = step(make_conditions())
    for less in (make_conditions(negative=False), make_conditions(perp=False)):
        assert not torch.allclose(step(less), whole)
    full = make_conditions()
    assert not torch.allclose(step(Conditions(full.perp[0][0], full.null, full.neg, full.perp)), whole)


@pytest.mark.parametrize("name", RULES)
def test_a_restored_rule_resumes_bit_for_bit(name, prior, views, make_conditions):
    options, generator, conditions = (
        default_recipe(name, "embedded").options,
        torch.Generator().manual_seed(1),
        make_conditions(),
    )
    batch = Batch(prior, views, torch.full((2,), 600), conditions, 0.1, generator)
    rule, restored = make_objective(name, options), make_objective(name, options)
    rule.gradient(batch)
    restored.load_state_dict({key: value.clone() for key, value in rule.state_dict().items()})
    state = generator.get_state()
    uninterrupted = rule.gradient(batch).gradient
    generator.set_state(state)
    assert torch.equal(restored.gradient(batch).gradient, uninterrupted)
