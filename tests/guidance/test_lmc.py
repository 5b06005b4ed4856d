"""LMC-SDS: the closed form for a Gaussian, what training finds, and files that are none."""

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from backend.guidance import corrective
from backend.guidance.base import Batch
from backend.guidance.corrective import SHIPPED, Corrective
from backend.guidance.guide import noise_like
from backend.guidance.rules.lmc import LMC, LMCOptions
from backend.guidance.rules.sds import SDS, SDSOptions
from backend.priors.analytic import Analytic
from backend.priors.base import Counted, PriorError, alpha_sigma

STD = 0.5
ONE = {"guidance_scale": 1.0, "weight": "one"}


class Exact(nn.Module):
    """f of a Gaussian N(m, STD^2): b(x, t) = E[D(x_t) | x] = m + alpha^2 STD^2 / v (x - m), f = (b - x) / sigma."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def forward(self, x, share):
        alpha, sigma = alpha_sigma(self.prior, (share * 1000).round().long())
        return -sigma / (alpha**2 * STD**2 + sigma**2) * (x - self.prior.means[0])


@pytest.fixture
def file(tmp_path, one_mode):
    """A corrective for samples of one channel, with weights that are not zero."""
    network = Corrective.create(1, seed=3)
    nn.init.normal_(network.out.weight, generator=torch.Generator().manual_seed(4))
    corrective.save(network, tmp_path / "b.safetensors", "one mode")
    return tmp_path / "b.safetensors"


@pytest.fixture
def step(one_mode, x, conditions):
    """One step at a level."""

    def run(rule, generator, level=600, away=""):
        return rule.gradient(Batch(one_mode, x, torch.full((2,), level), conditions(one_mode, 2, away), 0.0, generator))

    return run


def rule_with(network, file, **options):
    rule = LMC(LMCOptions(corrective=str(file), **{**ONE, **options}))
    rule.network = network
    return rule


@pytest.mark.parametrize("level", [50, 300, 600, 950])
def test_with_the_exact_corrective_the_pull_of_sds_to_the_mean_is_gone(one_mode, x, file, step, seeded, level):
    """Of SDS's gradient alpha sigma / v (x - m) - alpha^2 STD^2 / v eps only the noise, with mean zero, is left."""
    alpha, sigma = alpha_sigma(one_mode, torch.tensor([level]))
    v, eps = alpha**2 * STD**2 + sigma**2, noise_like(x, seeded())
    noise, pull = -(alpha**2) * STD**2 / v * eps, alpha * sigma / v * (x - one_mode.means)
    torch.testing.assert_close(step(SDS(SDSOptions(**ONE)), seeded(), level).gradient, noise + pull)
    torch.testing.assert_close(step(rule_with(Exact(one_mode), file), seeded(), level).gradient, noise)


def test_guidance_is_that_of_sds(gaussians, x, file, conditions, seeded):
    """(s - 1) (eps_y - eps_away) is what s adds, whatever the corrective."""

    def at(scale):
        told = conditions(gaussians, 2, "1")
        return rule_with(Exact(gaussians), file, guidance_scale=scale).gradient(
            Batch(gaussians, x, torch.full((2,), 600), told, 0.0, seeded())
        )

    alpha, sigma = alpha_sigma(gaussians, torch.tensor([600]))
    towards = -sigma * alpha / (alpha**2 * STD**2 + sigma**2) * (gaussians.means[0] - gaussians.means[1])
    torch.testing.assert_close(at(5.0).gradient - at(1.0).gradient, 4 * towards.expand_as(x))


def test_an_untrained_corrective_is_the_identity_and_the_rule_is_sds(x, file, step, seeded):
    gradient = step(rule_with(Corrective.create(1, 0), file), seeded()).gradient
    assert torch.equal(gradient, step(SDS(SDSOptions(**ONE)), seeded()).gradient)


def test_training_finds_the_closed_form(gaussians, seeded):
    """On pictures of the prior, at all levels: a tenth of the identity's error at most."""
    one_mode = Analytic(torch.full_like(gaussians.means[:1], 0.3), STD)  # one mean, as convolutions know no places
    network, generator = Corrective.create(1, 0), seeded(1)
    adam, y = torch.optim.Adam(network.parameters(), 3e-3), one_mode.condition(["0"] * 32)
    for _ in range(300):
        x = one_mode.means + STD * torch.randn(32, 1, 4, 4, generator=generator, dtype=torch.float64)
        t = torch.randint(1, 999, (32,), generator=generator)
        adam.zero_grad()
        corrective.losses(network, one_mode, x, t, y, noise_like(x, generator))[0].backward()
        adam.step()
    x = one_mode.means + STD * torch.randn(200, 1, 4, 4, generator=generator, dtype=torch.float64)
    share = torch.randint(1, 999, (200,), generator=generator) / 1000
    with torch.no_grad():
        wrong = (network(x, share) - Exact(one_mode)(x, share)).square().mean()
    assert wrong < 0.1 * Exact(one_mode)(x, share).square().mean()


def test_a_file_gives_back_what_was_written(file, x, step, seeded):
    network, prior = corrective.load(file)
    assert prior == "one mode"
    assert not network.training
    first = step(LMC(LMCOptions(corrective=str(file), **ONE)), seeded())
    again = step(LMC(LMCOptions(corrective=str(file), **ONE)), seeded())
    assert torch.equal(first.gradient, again.gradient)
    assert not torch.equal(first.gradient, step(SDS(SDSOptions(**ONE)), seeded()).gradient)
    assert float(first.metrics["correction"]) > 0


def test_without_a_corrective_for_its_prior_it_is_sds(step, seeded):
    """The shipped one is for kits."""
    score = step(LMC(LMCOptions(**ONE)), seeded())
    assert torch.equal(score.gradient, step(SDS(SDSOptions(**ONE)), seeded()).gradient)
    assert float(score.metrics["correction"]) == 0


def test_the_shipped_one_is_small_and_for_kits():
    network, prior = corrective.load(SHIPPED)
    assert (network.channels, prior) == (4, "embedded")
    assert SHIPPED.stat().st_size < 300_000


@pytest.mark.parametrize("shape", [(2, 4, 64, 64), (1, 4, 37, 50), (3, 4, 1, 1), (2, 4, 2, 3)])
def test_samples_of_any_size_keep_it(shape):
    network = Corrective.create(4, seed=0)
    nn.init.ones_(network.out.weight)
    out = network(torch.randn(shape, generator=torch.Generator().manual_seed(0)), torch.full(shape[:1], 0.5))
    assert out.shape == shape
    assert out.isfinite().all()


def test_one_seed_gives_one_network_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (Corrective.create(4, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["down.0.mix.weight"], other["down.0.mix.weight"])


def test_it_costs_what_sds_costs(one_mode, x, conditions, seeded, file):
    counted = Counted(one_mode)
    rule = LMC(LMCOptions(corrective=str(file)))
    rule.gradient(Batch(counted, x, torch.full((2,), 600), conditions(one_mode, 2, "0"), 0.0, seeded()))
    assert (counted.calls, counted.rows) == (1, 4)


def written(folder, kind):
    file = folder / "b.safetensors"
    if kind == "text":
        file.write_text("hello")
    elif kind == "another file":
        save_file({"a": torch.zeros(1)}, file)
    elif kind == "another version":
        save_file({"a": torch.zeros(1)}, file, {corrective.LABEL: '{"channels": 1}'})
    elif kind == "no number":
        save_file({"a": torch.zeros(1)}, file, {corrective.LABEL: '{"channels": "one"}'})
    elif kind == "no JSON":
        save_file({"a": torch.zeros(1)}, file, {corrective.LABEL: "one"})
    elif kind == "folder":
        file.mkdir()
    return file


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("nothing", "cannot be read: make it with"),
        ("text", "cannot be read: make it with"),
        ("folder", "cannot be read: make it with"),
        ("another file", "is no corrective: make one with"),
        ("another version", "is from another version: make it again with"),
        ("no JSON", "is from another version: make it again with"),
        ("no number", "is from another version: make it again with"),
    ],
)
def test_a_file_that_is_no_corrective_is_refused_when_the_rule_is_made(tmp_path, kind, sentence):
    file = written(tmp_path, kind)
    with pytest.raises(PriorError) as error:
        LMC(LMCOptions(corrective=str(file)))
    assert str(error.value).startswith(f"recipe.options.corrective: {file} {sentence} python -m backend train-lmc")


def test_a_corrective_for_other_samples_is_refused(file, conditions, seeded):
    prior = Analytic(torch.zeros(1, 3, 4, 4), STD)
    batch = Batch(prior, torch.zeros(2, 3, 4, 4), torch.full((2,), 600), conditions(prior, 2), 0.0, seeded())
    with pytest.raises(PriorError, match="is for samples of 1 channels and this prior's have 3: make one with"):
        LMC(LMCOptions(corrective=str(file))).gradient(batch)


@pytest.mark.parametrize("bad", [{"corrective": 3}, {"guidance_scale": -1}, {"weight": "t"}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, LMCOptions)
