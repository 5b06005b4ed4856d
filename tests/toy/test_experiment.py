"""Trajectories and what is measured on them, against closed forms."""

import math

import pytest
import torch

from backend.guidance.base import Batch, Options, Rule, Score
from backend.guidance.rules import RULES
from backend.guidance.rules.jsd import JSD
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.guidance.rules.vdm import VDM
from backend.priors.analytic import Analytic, linear
from backend.priors.base import PriorError, alpha_sigma
from backend.studies.toy import experiment
from backend.studies.toy.experiment import GROUPS, GUIDANCE, STARTS, Task, Variant, obstacle, variants, walk
from backend.studies.toy.measure import noise_share, pooled, probe, variance, within
from backend.studies.toy.modes import landed, log_density
from backend.studies.toy.network import Network
from backend.studies.toy.trained import Trained

SDS_ONLY, JSD_BOTH = variants(("sds",))[0], variants(("jsd",))


def test_a_rule_at_its_defaults_with_one_guidance_for_all():
    rules = variants(tuple(RULES))
    assert [rule.name for rule in rules] == ["sds", "jsd", "jsd-released", *list(RULES)[2:]]
    made = {rule.name: rule.make() for rule in rules}
    assert [type(made[name]) for name in ("sds", "jsd", "jsd-released", "vdm")] == [SDS, JSD, JSD, VDM]
    assert {rule.options.guidance_scale for rule in made.values()} == {GUIDANCE}
    assert made["consistent3d"].options.guidance_scale_end == GUIDANCE
    assert [made[name].options.rule for name in ("jsd", "jsd-released")] == ["paper", "released"]


def test_rows_are_seeds_in_order_whatever_their_group(exact):
    """The first seeds are the same points in a longer list as long as the groups are: seed i in group i mod 5."""
    done = walk(SDS_ONLY, exact, Task(7, 3))
    assert done.path.shape == (4, 3, 7, 2)
    assert done.estimate.shape == done.control.shape == (3, 3, 7, 2)
    starts = torch.tensor(STARTS)[:, None].expand(3, 7, 2)
    assert torch.equal(done.path[0], starts)
    ends = done.path[-1, 0]
    assert len(ends.unique(dim=0)) == 7, "each seed has noise of its own"
    assert not torch.equal(done.path[-1, 0] - starts[0], done.path[-1, 1] - starts[1]), "and each start"
    assert torch.equal(walk(SDS_ONLY, exact, Task(7, 3)).path, done.path)


class Constant(Rule):
    """Pulls to the right, and keeps the level and the classes that it was called with."""

    seen: list = []  # noqa: RUF012

    def gradient(self, batch):
        Constant.seen.append((int(batch.t[0]), batch.conditions.y.tokens[:, 0].argmax(1), batch.progress))
        return Score(torch.tensor([-1.0, 0.0]).view(1, 2, 1, 1).expand_as(batch.x))


class Pulling(Variant):
    """A variant of `Constant`."""

    def make(self):
        return Constant(Options())


def test_adam_moves_by_its_rate_and_seeds_ask_for_their_class(exact):
    Constant.seen.clear()
    done = walk(Pulling("constant", "", {}), exact, Task(10, 4, classes=True))
    torch.testing.assert_close(done.path[-1] - done.path[0], torch.tensor([0.12, 0.0]).expand(3, 10, 2))
    assert done.estimate is None
    assert pooled(done.estimate, done.control) is within(done.estimate, done.control) is None
    first = [seen for seen in Constant.seen if seen[2] == 0]
    assert len(first) == GROUPS
    assert len({level for level, _, _ in first}) > 1, "groups have levels of their own"
    assert [classes[:2].tolist() for _, classes, _ in first] == [[0, 5], [1, 6], [2, 7], [3, 0], [4, 1]]


def test_falling_levels(exact):
    Constant.seen.clear()
    walk(Pulling("constant", "", {}), exact, Task(1, 5, experiment.ANNEALED))
    levels = [level for level, _, _ in Constant.seen]
    assert levels == [980, 788, 596, 404, 212]


def test_ten_steps_cannot_leave_the_nearest_mode(exact):
    """Ten steps of Adam at 0.03 reach 0.3 in each coordinate; the next mode's cell is further away."""
    for rule in (SDS_ONLY, JSD_BOTH[0]):
        done = walk(rule, exact, Task(100, 10))
        assert (done.path[-1] - done.path[0]).abs().max() < 0.32
        nearest = [landed(done.path[-1, s]) for s in range(3)]
        assert [set(mode[mode >= 0].tolist()) for mode in nearest] == [{3}, {7}, {5}]


def test_sds_leaves_the_modes_and_jsd_stays(exact):
    """SDS with levels from all over goes to the middle, where no mode is."""
    sds, jsd = (walk(rule, exact, Task(30, 80)).path[-1, 0] for rule in (SDS_ONLY, JSD_BOTH[0]))
    assert (landed(sds) >= 0).float().mean() < 0.1
    assert (landed(jsd) >= 0).float().mean() > 0.8
    assert log_density(jsd).mean() > log_density(sds).mean() + 10


def test_correlations_of_known_pairs():
    generator = torch.Generator().manual_seed(0)
    e, noise = torch.randn(2, 40, 500, 2, generator=generator)
    offset = 10 * torch.randn(40, 1, 2, generator=generator)
    bound = 5 / e.numel() ** 0.5
    assert abs(pooled(e, noise)) < bound
    assert abs(within(e, noise)) < bound
    assert pooled(e + offset, noise + offset) > 0.9, "what both share over points counts"
    assert abs(within(e + offset, noise + offset)) < bound, "but not from draw to draw"
    assert within(3 * e + offset, e + noise) == pytest.approx(1 / math.sqrt(2), abs=bound)
    assert within(offset.expand_as(e), noise) == 0


def test_noise_of_known_gradients():
    generator = torch.Generator().manual_seed(1)
    g = torch.tensor([3.0, 4.0]) + 2 * torch.randn(50, 400, 2, generator=generator)
    assert variance(g) == pytest.approx(8, rel=0.05)
    assert noise_share(g) == pytest.approx(8 / 33, rel=0.05)
    assert noise_share(torch.ones(5, 4, 2)) == 0


@pytest.mark.parametrize("level", [20, 300, 900])
def test_correlation_of_sds_for_one_gaussian(level):
    """eps_hat = sigma/v (alpha x + sigma eps): 1 at one point; over points sigma/(alpha^2 b^2+sigma^2)^.5."""
    prior, count, spread = Analytic(torch.zeros(1, 2, 1, 1), 0.1, linear()), 40_000, 2.0
    x = spread * torch.randn(count, 2, 1, 1, generator=torch.Generator().manual_seed(2))
    t = torch.full((count,), level)
    rule, condition = SDS(SDSOptions(guidance_scale=GUIDANCE)), experiment.conditions(prior, None, count)
    score = rule.gradient(Batch(prior, x, t, condition, 0.0, torch.Generator().manual_seed(3)))
    alpha, sigma = (float(value[0]) for value in alpha_sigma(prior, t[:1]))
    expected = sigma / math.sqrt((alpha * spread) ** 2 + sigma**2)
    assert pooled(score.estimate, score.control) == pytest.approx(expected, abs=5 / (2 * count) ** 0.5)
    fixed = rule.gradient(Batch(prior, x[:1].expand_as(x), t, condition, 0.0, torch.Generator().manual_seed(4)))
    cells = (tensor.flatten(1)[None] for tensor in (fixed.estimate, fixed.control))
    assert within(*cells) == pytest.approx(1, abs=1e-3)
    if level == 20:
        assert expected < 0.05, "here SDS's control variate is as good as uncorrelated"


def test_at_one_point_jsd_subtracts_what_its_estimate_does_not_follow(exact):
    """Eq. 12's estimate comes from an inversion without noise, so only the control variate depends on the draw."""
    done = probe(JSD_BOTH[0].make(), exact, classes=True)
    assert done.gradient.shape == (12, 32, 32, 2)
    assert done.estimate.var(2).max() < 1e-6
    assert within(done.estimate, done.control) == 0
    assert pooled(done.estimate, done.control) > 0.5


def test_a_probe_leaves_the_rule_as_it_was(exact):
    rule = VDM(VDM.Options())
    walked = walk(variants(("vdm",))[0], exact, Task(10, 2)).objective
    before = walked.state_dict()
    one, other = (probe(walked, exact, classes=False, seed=seed) for seed in (0, 0))
    assert all(torch.equal(value, before[name]) for name, value in walked.state_dict().items())
    assert torch.equal(one.gradient, other.gradient)
    assert rule.state_dict()["iteration"] == 0


class Refusing(Rule):
    """Needs what points do not have; its only option is the error that says so."""

    def gradient(self, batch):
        batch.noise()
        raise self.options


@pytest.mark.parametrize("error", [PriorError("no U-Net here"), NotImplementedError("x")])
def test_a_rule_that_cannot_run_gives_its_reason(error, exact, monkeypatch):
    monkeypatch.setattr(Variant, "make", lambda self: Refusing(error))
    assert obstacle(SDS_ONLY, exact) == f"{type(error).__name__}: {error}"
    monkeypatch.setattr(Variant, "make", lambda self: Refusing(AttributeError("a fault")))
    with pytest.raises(AttributeError):
        obstacle(SDS_ONLY, exact)


@pytest.mark.parametrize("rule", variants(tuple(RULES)), ids=lambda rule: rule.name)
def test_every_objective_runs_on_points_with_either_score(rule, exact):
    assert obstacle(rule, exact) is None
    assert obstacle(rule, Trained(Network())) is None
