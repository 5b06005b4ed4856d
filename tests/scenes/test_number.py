"""Another number of splats with the same look."""

import math

import pytest
import torch

from backend.cameras import orbit
from backend.scenes.number import MOST_OPAQUE, largest, split_largest, with_number
from backend.scenes.splats import Splats, render_splats


def things(count=300, sigma=0.08):
    """Splats of all directions and shapes in a ball, in colours that change from place to place as a thing's do."""
    generator = torch.Generator().manual_seed(0)
    means = 0.4 * torch.randn(count, 3, generator=generator).clamp(-2, 2)
    quats = torch.randn(count, 4, generator=generator)
    spread = 0.2 * torch.rand(count, 3, generator=generator)
    scales = (sigma * torch.tensor([1.0, 0.5, 0.1])).log() + spread
    logits = torch.linspace(-1.0, 2.0, count)
    return Splats(means, quats, scales, logits, means[:, None].clone())


def views(splats):
    render = render_splats(splats, orbit(4), 64, 64, torch.ones(4, 3))
    return torch.cat([render.rgb, render.alpha], -1)


def psnr(one, other):
    return float(-10 * (one - other).square().mean().log10())


@pytest.mark.parametrize("least", [301, 450, 600, 1000])
def test_more_splats_look_as_before(least):
    before = things()
    after = with_number(before, least, 5000)
    assert len(after) == least
    assert psnr(views(before), views(after)) > 36


def test_a_pair_has_the_mean_and_the_covariance_of_the_whole():
    whole = Splats(
        torch.tensor([[1.0, 2, 3]]),
        torch.tensor([[2 * math.cos(math.pi / 4), 0, 0, 2 * math.sin(math.pi / 4)]]),  # x to y
        torch.tensor([[0.4, 0.2, 0.1]]).log(),
        torch.tensor([0.0]),
        torch.zeros(1, 1, 3),
    )
    pair = split_largest(whole, 1)
    offsets = pair.means - whole.means
    torch.testing.assert_close(offsets, torch.tensor([[0, -0.2, 0], [0, 0.2, 0]]), atol=1e-6, rtol=0)
    variance = pair.log_scales[0, 0].exp() ** 2 + 0.2**2
    assert float(variance) == pytest.approx(0.4**2, abs=1e-6)
    torch.testing.assert_close(pair.log_scales[:, 1:], whole.log_scales[:, 1:].expand(2, 2))
    x, y = torch.meshgrid(torch.linspace(-2, 2, 401), torch.linspace(-2, 2, 401), indexing="ij")

    def covered(splats):
        """What is covered seen along Z: y is the axis that was split, x the other."""
        clear = 1.0
        for row in range(len(splats)):
            along, across = splats.log_scales[row, 0].exp(), splats.log_scales[row, 1].exp()
            bell = torch.exp(-(((y - splats.means[row, 1] + 2) / along) ** 2 + (x / across) ** 2) / 2)
            clear = clear * (1 - splats.opacity_logits[row].sigmoid() * bell)
        return float((1 - clear).sum())

    assert covered(pair) == pytest.approx(covered(whole), rel=1e-4)


def test_of_too_many_those_that_cover_the_most_are_kept_in_their_order():
    splats = things()
    kept = with_number(splats, 10, 100)
    assert len(kept) == 100
    assert len(largest(splats, 300)) == 300
    cover = splats.opacity_logits.sigmoid() * splats.log_scales.sort(1).values[:, 1:].sum(1).exp()
    assert torch.equal(kept.means, splats.means[cover >= cover.sort().values[-100]])


def test_none_is_too_opaque_to_learn_and_the_given_ones_are_unchanged():
    splats = things()
    splats.opacity_logits[:] = 20.0
    before = splats.map(torch.clone)
    after = with_number(splats, 500, 600)
    assert float(after.opacity_logits.sigmoid().max()) <= MOST_OPAQUE + 1e-6
    assert all(torch.equal(a, b) for a, b in zip(vars(before).values(), vars(splats).values(), strict=True))
