"""VSD, ASD and LODS: closed forms at the start, what is learned, what it costs, what a checkpoint holds."""

from dataclasses import replace

import msgspec
import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions, noise_like
from backend.guidance.learned import training_batch
from backend.guidance.rules.asd import ASD, ASDOptions
from backend.guidance.rules.lods import LODS, LODSOptions
from backend.guidance.rules.vsd import VSD, VSDOptions
from backend.priors.analytic import Analytic
from backend.priors.base import Counted, alpha_sigma

STD = 0.5
RULES = {"vsd": (VSD, VSDOptions), "asd": (ASD, ASDOptions), "lods": (LODS, LODSOptions)}
LEARNING = {"learning_rate": 0.02, "learn_low": 0.2, "learn_high": 0.8}


@pytest.fixture
def prior():
    """Two modes of 4x4: what is wanted, and what is not."""
    return Analytic(torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(3)), STD)


@pytest.fixture
def views():
    """Sixteen samples of a narrower Gaussian at another place."""
    generator = torch.Generator().manual_seed(4)
    return 0.7 + 0.2 * torch.randn(16, 1, 4, 4, generator=generator)


@pytest.fixture
def step(prior, views, conditions):
    """One step of a rule at a level."""
    told = conditions(prior, 16, away="1")

    def run(rule, generator, level=600, counted=prior, told=told):
        return rule.gradient(Batch(counted, views, torch.full((16,), level), told, 0.0, generator))

    return run


def make(name, **options):
    rule, kind = RULES[name]
    return rule(kind(**options))


@pytest.mark.parametrize("name", ["vsd", "asd"])
@pytest.mark.parametrize(("weight", "w"), [("one", lambda a, s: 1), ("sigma/alpha", lambda a, s: s / a)])
def test_an_untrained_lora_predicts_as_the_prior_does(name, weight, w, step, prior, views, exact, seeded):
    """g = w (eps_hat - eps_y), for the LoRA starts at zero."""
    generator = seeded()
    gradient = step(make(name, weight=weight), generator).gradient
    drawn = seeded()
    torch.randint(2**31, (1,), generator=drawn)  # the LoRA's own seed
    alpha, sigma = alpha_sigma(prior, torch.tensor([600]))
    x_t = alpha * views + sigma * noise_like(views, drawn)
    expected = w(alpha, sigma) * (exact(prior, x_t, 600, 7.5) - exact(prior, x_t, 600))
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_with_an_untrained_embedding_lods_is_sds(step, prior, views, exact, seeded):
    """g = w (eps_hat - eps), for the embedding starts as the negative prompt."""
    gradient = step(make("lods", guidance_scale=20.0), seeded()).gradient
    alpha, sigma = alpha_sigma(prior, torch.tensor([600]))
    eps = noise_like(views, seeded())
    expected = sigma**2 * (exact(prior, alpha * views + sigma * eps, 600, 20.0) - eps)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def taken(prior, views, options, generator):
    """A training batch: x_t, t, eps, which depend neither on the batch's own level nor on the prompt."""
    null = prior.condition([""] * len(views))
    return training_batch(
        Batch(prior, views, torch.zeros(len(views)).long(), Conditions(null, null), 0.0, generator), options
    )


def taught(rule, step, generator, steps=200):
    for _ in range(steps):
        step(rule, generator)
    return rule


def test_vsds_lora_becomes_the_model_of_the_samples(step, prior, views, conditions, seeded):
    """Its prediction is that of the samples' own Gaussian, and its loss is far below the prior's."""
    rule = taught(VSD(VSDOptions(**LEARNING)), step, seeded())
    told, own = conditions(prior, 16).y, Analytic(views.mean(0, keepdim=True), float(views.std(0).mean()))
    x_t, t, eps = taken(prior, views, rule.options, seeded(5))
    with torch.no_grad():
        lora = rule.twin.predict(x_t, t, told)
        of_prior, best = prior.predict(x_t, t, told), own.predict(x_t, t, own.condition(["0"] * 16))
    assert (lora - best).norm() < 0.1 * (of_prior - best).norm()
    assert (lora - eps).square().mean() < 0.5 * (of_prior - eps).square().mean()
    assert not rule.twin.predict(x_t, t, told).isclose(of_prior).all()


def test_asds_lora_runs_further_from_the_prior_than_vsds(step, prior, conditions, seeded, views):
    """To eps_y + (E[eps | x_t] - eps_y) / (1 + gamma), where both may go: in the mean over the samples."""
    told = conditions(prior, 16).y
    moved = {}
    for gamma in (0.0, -0.5):
        rule = taught(ASD(ASDOptions(gamma=gamma, **LEARNING | {"learning_rate": 0.05})), step, seeded(), 150)
        x_t, t, _ = taken(prior, views, rule.options, seeded(5))
        with torch.no_grad():
            moved[gamma] = (rule.twin.predict(x_t, t, told) - prior.predict(x_t, t, told)).mean(0)
    share = (moved[-0.5] * moved[0.0]).sum() / moved[0.0].square().sum()
    assert share.item() == pytest.approx(2, abs=0.4)


def test_lods_embedding_learns_what_the_scene_is(prior, conditions, seeded):
    """The scene is the unwanted one of two modes, and the learned null predicts it."""
    rule, told = LODS(LODSOptions(learning_rate=0.05, learn_low=0.3, learn_high=0.9)), conditions(prior, 16)
    x = prior.means[1] + STD * torch.randn(16, 1, 4, 4, generator=seeded(6))
    generator, t = seeded(), torch.full((16,), 600)
    scores = [rule.gradient(Batch(prior, x, t, told, 0.0, generator)) for _ in range(150)]
    odds = rule.state_dict()["learned.tokens"].softmax(-1).flatten()
    assert odds[1] > 0.9
    assert odds.sum().item() == pytest.approx(1)
    early, late = (torch.tensor([s.metrics["null_loss"] for s in part]).mean() for part in (scores[:20], scores[-20:]))
    assert late < early


def test_without_the_adversarial_term_asd_is_vsd(step, seeded):
    rules = VSD(VSDOptions(**LEARNING)), ASD(ASDOptions(gamma=0.0, weight="sigma^2", **LEARNING))
    dice = seeded(), seeded()
    for _ in range(4):
        vsd, asd = (step(rule, generator) for rule, generator in zip(rules, dice, strict=True))
        assert torch.equal(vsd.gradient, asd.gradient)
        assert vsd.metrics == asd.metrics
    with_term = taught(ASD(ASDOptions(weight="sigma^2", **LEARNING)), step, seeded(), 1)
    dice = seeded(), seeded()
    taught(rules[0], step, dice[0], 1)
    assert not torch.equal(with_term.learned.parameters["shift"], rules[0].learned.parameters["shift"])


@pytest.mark.parametrize(("name", "calls", "rows"), [("vsd", 4, 80), ("asd", 5, 96), ("lods", 3, 64)])
def test_cost_of_a_step(name, calls, rows, prior, step, seeded):
    """The guided pair of 16 views is one call of 32 rows; a training step is a forward and a backward."""
    counted, rule, generator = Counted(prior), make(name), seeded()
    step(rule, generator, counted=counted)
    assert (counted.calls, counted.rows) == (calls, rows)
    step(rule, generator, counted=counted)
    assert counted.calls == 2 * calls
    assert counted.seconds > 0


@pytest.mark.parametrize("name", RULES)
def test_a_restored_rule_resumes_bit_for_bit(name, prior, conditions, step, seeded):
    generator, rule, told = seeded(5), make(name, **LEARNING), conditions(prior, 16)
    for _ in range(3):
        step(rule, generator, told=told)
    state, dice = rule.state_dict(), generator.get_state()
    restored = make(name, **LEARNING)
    restored.load_state_dict(state)
    assert restored.state_dict().keys() == state.keys()
    uninterrupted = [step(rule, generator, told=told).gradient for _ in range(3)]
    generator.set_state(dice)
    continued = [step(restored, generator, told=told).gradient for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(uninterrupted, continued, strict=True))
    assert all(torch.equal(value, restored.state_dict()[key]) for key, value in rule.state_dict().items())
    learned = [key for key in state if key.startswith("learned.")]
    assert learned
    assert not all(torch.equal(state[key], rule.state_dict()[key]) for key in learned)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_took_no_step_is_restored_too(name, step, seeded):
    fresh, restored = make(name), make(name)
    restored.load_state_dict(fresh.state_dict())
    assert torch.equal(step(fresh, seeded()).gradient, step(restored, seeded()).gradient)


@pytest.mark.parametrize(("share", "told"), [(0.0, "0"), (1.0, "1")])
def test_the_view_is_dropped_in_a_share_of_the_training_steps(share, told, prior, conditions, step, seeded):
    """With a "plain" condition of its own, mode 1, it shows with which of the two the LoRA was trained."""
    asked = []

    class Told(Analytic):
        def twin(self, rank, seed):
            twin = super().twin(rank, seed)
            predict = twin.predict
            twin.predict = lambda x_t, t, condition: asked.append(condition) or predict(x_t, t, condition)
            return twin

    listening = Told(prior.means, STD)
    plain = prior.condition(["1"] * 16)
    rule = VSD(VSDOptions(camera_dropout=share))
    step(rule, seeded(), counted=listening, told=replace(conditions(prior, 16), plain=plain))
    gradient, taught_with = asked
    assert torch.equal(gradient.tokens, prior.condition(["0"] * 16).tokens)
    assert torch.equal(taught_with.tokens, prior.condition([told] * 16).tokens)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, (0, 999)), (0.4, 0.6, (400, 599)), (0.5, 0.5, (500, 500)), (1, 1, (999, 999))],
)
def test_levels_of_training(low, high, expected, prior, seeded):
    views = torch.zeros(20_000, 1, 1, 1)
    _, t, _ = taken(prior, views, VSDOptions(learn_low=low, learn_high=high), seeded())
    assert (int(t.min()), int(t.max())) == expected


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "bad",
    [
        {"learning_rate": 0},
        {"learn_low": -0.1},
        {"learn_high": 1.1},
        {"learn_low": 0.6, "learn_high": 0.5},
        {"weight": "sigma"},
        {"guidance_scale": -1},
        {"lora": 4},
    ],
)
def test_refuses_bad_options(name, bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, RULES[name][1])


@pytest.mark.parametrize("bad", [{"rank": 0}, {"camera_dropout": 1.5}, {"gamma": -1.1}, {"gamma": 2}])
def test_asd_refuses_bad_options(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, ASDOptions)
