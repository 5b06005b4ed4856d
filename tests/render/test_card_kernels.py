"""The card's kernels: NVRTC takes them for every card that torch knows, and they are chosen where they should be."""

import pytest
import torch

from backend.render import base, by_gsplat, card, cpu
from backend.render.tiles import half_sizes, tile_lists


@pytest.mark.parametrize("architecture", ["75", "80", "86", "89", "90", "100", "120"])
def test_nvrtc_compiles_them(architecture):
    pytest.importorskip("cuda.core")
    try:
        binary = card.compiled(architecture)
    except Exception as error:
        if "nvrtc" in str(error):
            pytest.skip("needs the library of NVRTC")
        raise
    assert all(name.encode() in binary.code for name in card.KERNELS)


def test_gsplat_is_used_where_it_is_built_and_else_our_kernels(monkeypatch):
    assert base.compositing(torch.device("cpu")).__self__ is cpu.Composite
    assert base.compositing(torch.device("cuda")).__self__ is card.Composite
    monkeypatch.setattr(by_gsplat.importlib.util, "find_spec", lambda name: name)
    by_gsplat.gsplat_is_built.cache_clear()
    assert by_gsplat.gsplat_is_built()
    by_gsplat.gsplat_is_built.cache_clear()


def test_tiles_list_what_they_see_nearest_first():
    """Three Gaussians on a picture of 2 x 2 tiles: small ones in one tile each, a large one in all, one not drawn."""
    means = torch.tensor([[[8.0, 8.0], [24.0, 8.0], [16.0, 16.0], [8.0, 24.0]]])
    factors = torch.tensor([[[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.01, 0.0, 0.01], [1.0, 0.0, 1.0]]])
    opacities, depths = torch.tensor([[0.9, 0.9, 0.9, 0.003]]), torch.tensor([[2.0, 3.0, 2.5, 1.0]])
    half = half_sizes(means, factors, opacities, torch.zeros(1, 4, 4), torch.ones(1, 4, dtype=torch.bool), 32, 32)
    assert (half[0, 3] == 0).all()
    lists = tile_lists(means, half, depths, 32, 32)
    ids = [lists.ids[a:b].tolist() for a, b in zip(lists.offsets, lists.offsets[1:], strict=False)]
    assert ids == [[0, 2], [2, 1], [2], [2]]
