"""The card's own kernels: how long they take to build, whether they draw what the CPU draws, and how fast."""

from __future__ import annotations

import time
from typing import Any

import render_scenes
import torch
from torch import Tensor

from backend.studies.bench import gsplat_reference
from backend.studies.bench.renderer import (
    Renderer,
    arguments_of,
    best,
    renderer_rows,
    renderers,
    run_once,
)
from tools.gpu.part import Part

NEAR, NEAR_GRADIENT = 1e-4, 2e-3  # relative errors that are good: of pixels, of gradients
SIZES, SIDES, VIEWS = (10_000, 50_000, 200_000), (256, 512), (1, 4)
SMALL_SIZES, SMALL_SIDES, SMALL_VIEWS = (100, 300), (32,), (1, 2)


def measure(part: Part) -> None:
    """Build, compare, time."""
    there = renderers()
    card = there[-1]
    part.put(renderers=[renderer.name for renderer in there])
    if card.device.type == "cuda":
        with part.attempt("build"):
            build(part)
    compare(part, there[0], card)
    with part.attempt("the same twice"):
        _twice(part, card)
    sizes, sides, views = (SMALL_SIZES, SMALL_SIDES, SMALL_VIEWS) if part.small else (SIZES, SIDES, VIEWS)
    with part.attempt("times"):
        times(part, card, sizes, sides, views)
    with part.attempt("where the time goes"):
        _profile(part, card, sizes[1], sides[-1], views[-1])
    if card is not there[0]:
        with part.attempt("times on the CPU"):
            part.put(cpu_rows=renderer_rows(sizes[:2], sides[:1], 0.0, views[:1], there[:1]))


def build(part: Part) -> None:
    """Seconds of NVRTC for this card, and of the first picture, which loads the kernels."""
    from backend.render.card import compiled

    began = time.perf_counter()
    compiled("{}{}".format(*torch.cuda.get_device_capability()))
    built = time.perf_counter()
    best(renderers()[1], 10, 16)
    part.put(build_seconds=built - began, first_picture_seconds=time.perf_counter() - built)
    part.headline(f"kernels built in {built - began:.2f} s")


def compare(part: Part, other: Renderer, card: Renderer) -> None:
    """A row per scene: relative errors of pixels, alphas and gradients against another renderer and the reference."""
    worst: dict[str, float] = {}
    for name, scene, looks, options in _scenes(part.small):
        with part.attempt(f"scene {name}"):
            got = drawn(card, scene, looks, **options)
            errors = _errors(got, drawn(other, scene, looks, **options))
            row: dict[str, Any] = {"scene": name, "against": other.name, **errors}
            if len(scene["means"]) <= 300 and part.left > 50:
                reference = drawn(REFERENCE, scene, looks, dtype=torch.float64, **options)
                row["against the reference in float64"] = _errors(got, reference)
            part.row("scenes", **row)
            for what, error in errors.items():
                worst[what] = max(worst.get(what, 0.0), error)
            _judge(part, name, errors)
    part.put(worst=worst)
    part.headline(f"{card.name} against {other.name}, worst: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))


REFERENCE = Renderer("reference", gsplat_reference.rasterization, torch.device("cpu"))


def _judge(part: Part, name: str, errors: dict[str, float]) -> None:
    far = {
        what: error
        for what, error in errors.items()
        if not error < (NEAR if what in ("pixels", "alphas") else NEAR_GRADIENT)
    }
    if far:
        part.failed(f"scene {name}", ArithmeticError(f"too far: {far}"))


def _scenes(small: bool) -> list[tuple[str, dict[str, Tensor], dict[str, Any], dict[str, Any]]]:
    """Name, splats, cameras and options of each."""
    plain = {"backgrounds": torch.rand(2, 3), "render_mode": "RGB+D"}
    found = [(name, scene, render_scenes.view(2, 48, 40), plain) for name, scene in render_scenes.edge_cases().items()]
    for degree in (1, 3):
        colours = 0.5 * torch.randn(300, 16, 3, generator=torch.Generator().manual_seed(degree))
        scene = render_scenes.cloud() | {"colors": colours}
        found.append((f"harmonics {degree}", scene, render_scenes.view(2, 48), {"sh_degree": degree}))
    found.append(("expected depth", render_scenes.cloud(), render_scenes.view(2, 48), {"render_mode": "RGB+ED"}))
    if not small:
        large = render_scenes.cloud(20_000) | {"scales": 0.03 * torch.rand(20_000, 3)}
        found.append(("20,000 splats", large, render_scenes.view(4, 256), plain | {"backgrounds": torch.rand(4, 3)}))
    return found[::6] if small else found


def drawn(
    renderer: Renderer,
    scene: dict[str, Tensor],
    looks: dict[str, Any],
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> dict[str, Tensor]:
    """Pixels, alphas and the gradients of a random function of them, on the CPU in float64."""
    moved = {
        key: value.to(renderer.device, dtype, copy=True) if isinstance(value, Tensor) else value
        for key, value in (scene | looks | options).items()
    }
    leaves = [moved[key].requires_grad_() for key in (*scene, "viewmats")]
    given = [moved.pop(name) for name in (*render_scenes.NAMES, "viewmats", "Ks", "width", "height")]
    pixels, alphas, info = renderer.rasterization(*given, **moved)
    info["means2d"].retain_grad()
    weight = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1)).to(pixels)
    ((pixels * weight).sum() + alphas.square().sum()).backward()  # type: ignore[no-untyped-call]
    found = {"pixels": pixels, "alphas": alphas, "means2d": info["means2d"].grad}
    found |= {key: leaf.grad for key, leaf in zip((*scene, "viewmats"), leaves, strict=True) if leaf.grad is not None}
    return {key: value.detach().cpu().double() for key, value in found.items()}


def _errors(got: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    return {key: render_scenes.relative(got[key], expected[key]) for key in expected if key in got}


def _twice(part: Part, card: Renderer) -> None:
    """Gradients are summed in no order on a card, so they move by rounding; by more, it would be a race."""
    scene, looks = render_scenes.cloud(3000), render_scenes.view(2, 64)
    errors = _errors(drawn(card, scene, looks), drawn(card, scene, looks))
    part.put(same_twice=errors)
    if not max(errors.values()) < NEAR or errors["pixels"] > 0:
        part.failed("the same twice", ArithmeticError(f"differs between two runs: {errors}"))


def times(
    part: Part, renderer: Renderer, sizes: tuple[int, ...], sides: tuple[int, ...], views: tuple[int, ...]
) -> None:
    """Rows of the bench, the small ones first."""
    for side in sides:
        for count in sizes:
            for cameras in views:
                (row,) = renderer_rows([count], [side], 0.0, [cameras], [renderer])
                part.row("rows", **row)
    for row in part.found["rows"]:
        if row["views"] == views[-1]:
            part.headline(
                f"{row['renderer']} {row['splats']} splats, {row['views']} x {row['pixels']} px: "
                f"{row['forward_ms']:.2f} + {row['backward_ms']:.2f} ms"
            )


def _profile(part: Part, renderer: Renderer, count: int, side: int, views: int) -> None:
    """The dearest operations of ten forwards and backwards, by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    arguments = arguments_of(renderer, count, side, views)
    run_once(renderer, arguments)
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if renderer.device.type == "cuda" else [])
    with profile(activities=kinds) as profiler:
        for _ in range(10):
            run_once(renderer, arguments)
    by = "self_cuda_time_total" if renderer.device.type == "cuda" else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)
    part.put(profile=table.splitlines())
