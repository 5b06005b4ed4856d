"""U-Lite's size and shapes, and the mapping around it."""

import pytest
import torch

from backend.guidance.noise_mapping import MappingOptions, NoiseMapping
from backend.guidance.ulite import STAGES, ULite


@pytest.mark.parametrize(("channels", "out", "count"), [(4, 4, 879_252), (3, 1, 878_417)])
def test_parameters_as_the_papers_count_them(channels, out, count):
    assert sum(p.numel() for p in ULite(channels, out, STAGES).parameters()) == count


def test_a_pixel_is_seen_from_everywhere():
    """Five poolings and the bottleneck's dilations reach across 64 px."""
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network = ULite(4, 4, STAGES)
    network(x)[0, 0, 0, 0].backward()
    assert x.grad.shape == x.shape
    assert x.grad[0, :, -1, -1].abs().min() > 0


def test_batch_norm_uses_the_batch_in_use_as_in_training(seeded):
    network, x = ULite(3, 3, STAGES), torch.randn(2, 3, 64, 64, generator=seeded())
    assert not list(network.buffers())
    torch.testing.assert_close(network.eval()(x), network.train()(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "fold", "stages"),
    [
        ((2, 4, 64, 64), 1, 5),
        ((2, 3, 64, 64), 2, 4),
        ((1, 4, 32, 32), 1, 4),
        ((1, 4, 96, 128), 1, 5),
        ((1, 3, 50, 35), 2, 3),
        ((4, 2, 1, 1), 1, 0),
    ],
)
def test_any_shape_is_mapped_onto_itself(shape, fold, stages, seeded):
    eps = torch.randn(shape, generator=seeded())
    mapping = NoiseMapping.create(eps, MappingOptions(start="plain", fold=fold), seeded())
    assert len(mapping.network.encoders) == stages
    out = mapping(eps)
    assert out.shape == shape
    assert out.isfinite().all()
    assert out.std() > 0


def test_a_residual_mapping_starts_as_the_identity(seeded):
    eps = torch.randn(2, 3, 32, 32, generator=seeded(), dtype=torch.float64)
    mapping = NoiseMapping.create(eps, MappingOptions(), seeded())
    torch.testing.assert_close(mapping(eps), eps, rtol=0, atol=0)
    plain = NoiseMapping.create(eps, MappingOptions(start="plain"), seeded())
    assert (plain(eps) - eps).abs().mean() > 0.1


def test_one_step_of_adam_lowers_its_loss(seeded):
    eps = torch.randn(2, 3, 32, 32, generator=seeded(1))
    eps_y = 0.5 * eps + 1
    mapping = NoiseMapping.create(eps, MappingOptions(learning_rate=0.001), seeded())
    losses = []
    for _ in range(4):
        losses.append((mapping(eps_y) - eps).square().mean().item())
        mapping.fit(eps_y, eps)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
