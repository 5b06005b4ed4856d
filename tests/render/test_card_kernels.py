"""The card's kernels: NVRTC takes them for every card that torch knows, and they are chosen where they should be."""

import inspect

import gsplat
import pytest
import torch
from render_scenes import cloud, view

from backend.render import base, by_gsplat, card, cpu, rasterization
from backend.render.tiles import half_sizes, tile_lists


@pytest.mark.parametrize("architecture", ["75", "80", "86", "89", "90", "100", "120"])
def test_nvrtc_compiles_them(architecture):
    pytest.importorskip("cuda.core")
    pathfinder = pytest.importorskip("cuda.pathfinder")
    try:
        pathfinder.load_nvidia_dynamic_lib("nvrtc")
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip("needs the library of NVRTC")
    binary = card.compiled(architecture)
    assert all(name.encode() in binary.code for name in card.KERNELS)


def test_gsplat_is_used_where_it_is_built_and_else_our_kernels(monkeypatch):
    assert base.compositing(torch.device("cpu")).__self__ is cpu.Composite
    assert base.compositing(torch.device("cuda")).__self__ is card.Composite
    monkeypatch.setattr(by_gsplat.importlib.util, "find_spec", lambda name: name)
    by_gsplat.gsplat_is_built.cache_clear()
    assert by_gsplat.gsplat_is_built()
    by_gsplat.gsplat_is_built.cache_clear()


def test_gsplat_takes_the_arguments_by_the_same_names(monkeypatch):
    """What `rasterization` hands on, bound to gsplat's own signature."""
    signature, bound = inspect.signature(gsplat.rasterization), []

    def bind(*given, **options):
        bound.append(signature.bind(*given, **options).arguments)
        return rasterization(**scene, **looks)

    scene, looks = cloud(3), view(1, 8)
    monkeypatch.setattr(gsplat, "rasterization", bind)
    by_gsplat.by_gsplat(*scene.values(), *looks.values(), sh_degree=None, backgrounds=None, render_mode="RGB")
    names = {"means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "width", "height"}
    assert all(bound[0][name] is ({**scene, **looks})[name] for name in names)
    assert bound[0]["packed"] is False


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
