"""The trained prior against the exact score."""

import pytest
import torch

from backend.priors.base import Condition, PriorError
from backend.studies.toy.modes import draw
from backend.studies.toy.network import fresh, load, save, train
from backend.studies.toy.trained import Trained
from backend.studies.toy.twin import NetworkTwin

COUNT = 1000


def error(prior, exact, level, text):
    """Root mean square of the difference to the exact prediction on noised data."""
    generator = torch.Generator().manual_seed(5)
    x, mode = draw(COUNT, generator)
    x = x[mode == int(text)] if text else x
    t, alpha_bar = torch.full((len(x),), level), exact.alphas_cumprod[level]
    x_t = alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * torch.randn(x.shape, generator=generator)
    one, other = (p.predict(x_t[:, :, None, None], t, p.condition([text] * len(x))) for p in (prior, exact))
    return float((one - other).square().mean().sqrt())


@pytest.mark.parametrize("text", ["", "3"])
@pytest.mark.parametrize("level", [300, 600, 900])
def test_a_little_training_brings_it_near_the_exact_score(short, exact, level, text):
    assert error(Trained(short[0]), exact, level, text) < 0.3 < error(Trained(fresh(0)), exact, level, text)


def test_the_loss_falls(short):
    _, losses = short
    assert sum(losses[-10:]) < 0.7 * sum(losses[:3]) * 10 / 3


def test_training_is_decided_by_its_seed():
    networks = [fresh(seed) for seed in (1, 1, 2)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        list(train(network, 2, seed))
    first, again, other = (network.out.weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_saved_network_is_reused_only_with_its_settings(tmp_path, short):
    file = tmp_path / "network.safetensors"
    assert load(file, 60, 0) is None
    save(short[0], file, 60, 0)
    assert load(file, 61, 0) is None
    assert load(file, 60, 1) is None
    (file.parent / "cut").write_bytes(file.read_bytes()[:-100])
    assert load(file.parent / "cut", 60, 0) is None
    kept = load(file, 60, 0).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in short[0].state_dict().items())


def test_texts_name_modes(short):
    prior = Trained(short[0])
    tokens = prior.condition(["", "7"]).tokens
    assert tokens.shape == (2, 1, 9)
    assert tokens.argmax(2).flatten().tolist() == [8, 7]
    for text in ("8", "a chair", "-1"):
        with pytest.raises(PriorError, match="from 0 to 7"):
            prior.condition([text])


def test_pictures_are_refused(short):
    with pytest.raises(PriorError, match="no pictures"):
        Trained(short[0]).encode(torch.zeros(1, 4, 4, 3))


@pytest.mark.parametrize("rank", [0, 4])
def test_a_twin_starts_as_the_prior_and_gives_gradients(short, rank):
    prior, x = Trained(short[0]), torch.randn(6, 2, 1, 1, generator=torch.Generator().manual_seed(3))
    t, condition = torch.full((6,), 400), prior.condition(["2"] * 6)
    twin = prior.twin(rank, seed=1)
    assert isinstance(twin, NetworkTwin)
    torch.testing.assert_close(twin.predict(x, t, condition), prior.predict(x, t, condition))
    tokens = condition.tokens.clone().requires_grad_()
    wrt = [tokens, *twin.parameters.values()]
    gradients = twin.gradients(twin.predict(x, t, Condition(tokens)).square().sum(), wrt)
    assert [g.shape for g in gradients] == [p.shape for p in wrt]
    assert gradients[0].abs().max() > 0
    assert len(twin.parameters) == (6 if rank else 0)
    if rank:
        assert gradients[2].abs().max() > 0, "B starts at zero and learns first"
        twin.parameters["0.b"].data += 0.1
        assert not torch.allclose(twin.predict(x, t, condition), prior.predict(x, t, condition))
