"""The LoRA twin, on tiny random pipelines of every family; the prior stays as it is."""

from itertools import pairwise

import pytest
import tiny_pipelines as tiny
import torch

from backend.cameras import orbit
from backend.guidance.base import Batch
from backend.guidance.learned import Learned
from backend.priors.base import Counted, PriorError
from backend.priors.lora import LoRA
from backend.run.assemble import make_objective
from backend.run.prompts import Prompts

FAMILIES = list(tiny.BUILDERS)


@pytest.fixture
def asked(priors):
    """A prior, noisy samples, their levels, and a condition."""

    def make(family):
        prior = priors[family]
        with torch.no_grad():
            x = prior.encode(torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(2)))
        return prior, x, torch.tensor([300, 700]), prior.condition(["red chair"] * 2, orbit(2))

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_twin_is_the_prior(family, asked):
    prior, x, t, y = asked(family)
    for rank in (0, 4):
        assert torch.equal(prior.twin(rank, 1).predict(x, t, y), prior.predict(x, t, y))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_step_changes_the_twin_and_not_the_prior(family, asked):
    """On one sample the twin's loss falls below the prior's; the prior answers to the last bit as before."""
    prior, x_t, t, y = asked(family)
    before, weights = prior.predict(x_t, t, y), [value.clone() for value in prior.denoiser.unet.parameters()]
    modules = [type(module) for module in prior.denoiser.unet.modules()]
    twin = prior.twin(rank=4, seed=1)
    learned, target = Learned(twin.parameters, 1e-2), before + 1
    losses = [learned.step(twin, (twin.predict(x_t, t, y) - target).square().mean()) for _ in range(20)]
    assert losses[-1] < 0.995 * losses[0]
    assert losses[0] == pytest.approx((before - target).square().mean().item(), rel=1e-5)
    assert torch.equal(prior.predict(x_t, t, y), before)
    assert not prior.predict(x_t, t, y).requires_grad
    assert all(torch.equal(a, b) for a, b in zip(weights, prior.denoiser.unet.parameters(), strict=True))
    assert not any(value.requires_grad for value in prior.denoiser.unet.parameters())
    assert [type(module) for module in prior.denoiser.unet.modules()] == modules
    assert torch.equal(prior.twin(4, 1).predict(x_t, t, y), before)  # the next job begins anew


def test_the_twin_shares_the_priors_weights(priors):
    prior = priors["epsilon"]
    twin = prior.twin(rank=3, seed=1)
    own = {id(value) for value in twin.parameters.values()}
    shared = {id(value) for value in twin.denoiser.unet.parameters()} - own
    assert shared == {id(value) for value in prior.denoiser.unet.parameters()}
    assert all(value.shape[0 if "lora_A" in name else 1] == 3 for name, value in twin.parameters.items())
    assert prior.twin(rank=0, seed=1).parameters == {}


def test_its_weights_are_single_in_a_half_precision_unet(priors):
    prior = priors["epsilon"]
    unet = tiny.unet().to(torch.bfloat16).requires_grad_(False)
    twin = LoRA(type(prior.denoiser)(unet, prior.alphas_cumprod, "epsilon"), prior._eps, 4, 1)
    assert twin.denoiser.dtype == torch.bfloat16
    assert {value.dtype for value in twin.parameters.values()} == {torch.float32}
    x_t, t = tiny.noisy(prior), tiny.T
    y = prior.condition(["red", "chair"])
    y = type(y)(y.tokens.to(torch.bfloat16))
    learned = Learned(twin.parameters, 1e-4)
    before = twin.parameters["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight"].clone()
    for _ in range(2):  # B is zero at first, so A's first gradient is
        learned.step(twin, twin.predict(x_t, t, y).square().mean())
    after = twin.parameters["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight"]
    assert 0 < (after - before).abs().max() < 3e-4


def test_a_seed_decides_the_first_weights(priors):
    prior = priors["epsilon"]

    def first(seed):
        return torch.cat([value.flatten() for value in prior.twin(4, seed).parameters.values()]).detach()

    torch.manual_seed(1)
    one = first(1)
    torch.manual_seed(2)  # which must not matter
    assert torch.equal(one, first(1))
    assert not torch.equal(one, first(2))


def test_gradients_reach_the_condition(priors, asked):
    """Against a difference: what LODS' embedding is moved by."""
    prior, x_t, t, y = asked("epsilon")
    tokens = y.tokens.clone().requires_grad_()
    twin = prior.twin(rank=0, seed=0)

    def loss(tokens):
        return twin.predict(x_t, t, type(y)(tokens)).square().sum()

    (gradient,) = twin.gradients(loss(tokens), [tokens])
    direction = gradient / gradient.norm()
    with torch.no_grad():
        rise = (loss(tokens + 0.01 * direction) - loss(tokens - 0.01 * direction)) / 0.02
    assert rise.item() == pytest.approx(gradient.norm().item(), rel=0.05)


def test_a_unet_without_attention_is_refused(priors):
    plain = tiny.unet(down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, mid_block_type=None)
    prior = priors["epsilon"]
    with pytest.raises(PriorError, match="no attention layers"):
        LoRA(type(prior.denoiser)(plain, prior.alphas_cumprod, "epsilon"), prior._eps, 4, 1)


@pytest.mark.parametrize("name", ["vsd", "asd", "lods"])
@pytest.mark.parametrize("family", ["epsilon", "xl"])
def test_a_run_on_a_unet_and_its_resuming(name, family, priors):
    """Whole rules: gradients that are numbers, weights that move, exact resuming, and the prior as before."""
    prior = priors[family]
    prompts, cameras = Prompts(prior, "red chair"), orbit(2)
    with torch.no_grad():
        x = prior.encode(torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(2)))
    t, y = torch.full((2,), 600), prompts.conditions(cameras)
    before = prior.predict(x, t, y.y)

    def run(rule, generator, steps):
        return [rule.gradient(Batch(Counted(prior), x, t, y, 0.0, generator)).gradient for _ in range(steps)]

    rule, generator = make_objective(name, {"learning_rate": 1e-2}), torch.Generator().manual_seed(1)
    run(rule, generator, 2)
    states, dice = [rule.state_dict()], generator.get_state()
    straight = run(rule, generator, 2)
    again = make_objective(name, {"learning_rate": 1e-2})
    again.load_state_dict(states[0])
    generator.set_state(dice)
    assert all(torch.equal(a, b) for a, b in zip(straight, run(again, generator, 2), strict=True))
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in straight)
    states.append(rule.state_dict())
    for one, other in pairwise(states):
        assert one.keys() == other.keys()
        moved = [not torch.equal(one[key], other[key]) for key in one if key.startswith("learned.")]
        assert moved
        assert all(moved)
    assert torch.equal(prior.predict(x, t, y.y), before)
