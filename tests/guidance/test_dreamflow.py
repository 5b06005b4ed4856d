"""DreamFlow: a predetermined schedule, and the flow between two distributions whose scores are known."""

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions
from backend.guidance.rules.dreamflow import DreamFlow, DreamFlowOptions, scheduled
from backend.priors.analytic import Analytic, to_pure_noise

STD = 0.5
STILL = 1e-12  # a learning rate at which the LoRA keeps what the test has set


def flow(**options):
    return DreamFlow(DreamFlowOptions(guidance_scale=1.0, learning_rate=STILL, **options))


def noise_scale(prior, level):
    """s of the level; level 0 is the clean picture."""
    return ((1 / prior.alphas_cumprod[level] - 1) ** 0.5).item() if level else 0.0


def walk(prior, rule, x, levels, follow):
    """Gradient descent with rate 1 down the schedule; `follow`: the renders' own model is set to the pictures."""
    null, generator = prior.condition([""] * len(x)), torch.Generator().manual_seed(0)
    for number in range(levels, 0, -1):
        t = torch.full((len(x),), number * 1000 // levels)
        batch = Batch(prior, x, t, Conditions(null, null), 1 - number / levels, generator)
        twin = rule.twin or rule._create(batch)
        if follow:
            with torch.no_grad():
                twin.shift.copy_(x[0] - prior.means[0])
        x = x - rule.gradient(batch).gradient
    return x


def test_where_renders_and_prior_agree_nothing_moves(one_mode, x):
    torch.testing.assert_close(walk(one_mode, flow(levels=10), x, 10, follow=False), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("levels", "number"), [(100, 60), (100, 1), (10, 10), (1000, 3), (7, 4)])
def test_with_an_exact_model_of_the_renders_a_step_is_eulers(one_mode, x, conditions, seeded, levels, number):
    """dx/ds = eps_prior - eps_renders = s / (s^2 + STD^2) (m_renders - m_prior): the noise cancels."""
    rule, shift = flow(levels=levels), 0.7
    t = torch.full((2,), number * 1000 // levels)
    batch = Batch(one_mode, x, t, conditions(one_mode, 2), 0.0, seeded())
    rule._create(batch)
    with torch.no_grad():
        rule.twin.shift.fill_(shift)
    here = min(number * 1000 // levels, 998)
    s, lower = noise_scale(one_mode, here), noise_scale(one_mode, (number - 1) * 1000 // levels)
    expected = torch.full_like(x, (s - lower) * s / (s**2 + STD**2) * shift)
    torch.testing.assert_close(rule.gradient(batch).gradient, expected, rtol=1e-6, atol=1e-9)


def test_the_flow_carries_renders_to_the_mode_as_the_ode_does(one_mode, x):
    """With a model that follows the renders, d(x - m)/ds = s / (s^2 + STD^2) (x - m), whose solution is

    |x - m| at the end = |x - m| at the start * STD / sqrt(s_1^2 + STD^2).
    """
    x = x[:1]
    end = walk(one_mode, flow(levels=500), x, 500, follow=True)
    shrunk = STD / (noise_scale(one_mode, 998) ** 2 + STD**2) ** 0.5
    torch.testing.assert_close(end - one_mode.means, shrunk * (x - one_mode.means), rtol=0.03, atol=0)


def test_every_level_is_rounded_up_to_the_schedule():
    here, lower = scheduled(torch.tensor([1, 10, 11, 20, 981, 998]), 100, 1000)
    assert here.tolist() == [10, 10, 20, 20, 990, 998]
    assert lower.tolist() == [0, 0, 10, 10, 980, 990]
    assert scheduled(torch.tensor([1, 3, 4]), 3, 5)[0].tolist() == [1, 3, 3]


def test_several_steps_share_a_level(one_mode, x, conditions, seeded):
    """All that lies between two levels is one: the gradient depends on the level of the schedule alone."""
    gradients = [
        flow(levels=10)
        .gradient(Batch(one_mode, x, torch.full((2,), t), conditions(one_mode, 2), 0.0, seeded()))
        .gradient
        for t in (501, 550, 600)
    ]
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize("flow_step", [True, False])
def test_a_schedule_without_signal_at_its_end_gives_finite_gradients(one_mode, x, conditions, seeded, flow_step):
    bare = Analytic(one_mode.means, STD, to_pure_noise(one_mode.alphas_cumprod))
    rule = DreamFlow(DreamFlowOptions(flow_step=flow_step))
    for t in (998, 1):
        batch = Batch(bare, x, torch.full((2,), t), conditions(bare, 2), 0.0, seeded())
        assert rule.gradient(batch).gradient.isfinite().all()


@pytest.mark.parametrize("bad", [{"levels": 0}, {"levels": 1001}, {"weight": "t"}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, DreamFlowOptions)
