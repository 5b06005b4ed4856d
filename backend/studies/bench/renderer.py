"""Each renderer's forward and backward, and how much faster the CPU's is than gsplat's reference in torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from backend.cameras import orbit
from backend.render.base import compositing
from backend.render.by_gsplat import by_gsplat, gsplat_is_built
from backend.render.splatting import splatted
from backend.studies.bench import gsplat_reference

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]
SECONDS = 0.5  # of runs, from which the fastest is taken
WARM_UP = 3  # runs on a card that do not count: kernels are built, memory is taken
# The defaults of `backend.render.rasterization`.
DEFAULTS: dict[str, Any] = {"sh_degree": None, "backgrounds": None, "render_mode": "RGB"}
DEFAULTS |= {"near_plane": 0.01, "far_plane": 1e10, "eps2d": 0.3}


@dataclass(frozen=True)
class Renderer:
    """A function with the arguments of `backend.render.rasterization`, and where its tensors must be."""

    name: str  # cpu, card or gsplat
    rasterization: Rasterization
    device: torch.device


def renderers() -> list[Renderer]:
    """Those that are there: our kernels on the CPU and on a card, and gsplat's where they are built."""
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    names = {"cpu": "cpu", "cuda": "card"}
    found = [Renderer(names[device.type], partial(_own, device), device) for device in devices]
    if len(devices) > 1 and gsplat_is_built():
        found.append(Renderer("gsplat", by_gsplat, devices[1]))
    return found


def _own(device: torch.device, *given: Any, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Our kernels, also where `rasterization` would take gsplat's."""
    return splatted(compositing(device), *given, **DEFAULTS | options)


def renderer_rows(
    sizes: Sequence[int],
    resolutions: Sequence[int],
    reference_budget_s: float,
    views: Sequence[int] = (1,),
    which: Sequence[Renderer] | None = None,
) -> list[dict[str, Any]]:
    """Rows of renderer, number of splats, side in pixels, number of views, forward_ms and backward_ms of all views.

    The reference, which runs on the CPU, runs only where its time, estimated from earlier rows, fits into the rest of
    the budget in seconds; then the row also has reference_ms, forward and backward, and speedup_vs_reference.
    """
    rows, pace = [], 0.0  # the reference's seconds per splat and pixel
    for renderer in renderers() if which is None else which:
        best(renderer, 1, 8)  # compiles the kernel
        for count, side, cameras in ((c, s, v) for c in sizes for s in resolutions for v in views):
            forward, backward = best(renderer, count, side, cameras)
            row = {"renderer": renderer.name, "splats": count, "pixels": side, "views": cameras}
            row |= {"forward_ms": forward * 1e3, "backward_ms": backward * 1e3}
            work = count * side**2 * cameras
            if renderer.name == "cpu" and pace * work < reference_budget_s:
                reference = sum(best(REFERENCE, count, side, cameras))
                reference_budget_s -= max(reference, 0.5)
                pace = reference / work
                row |= {"reference_ms": reference * 1e3, "speedup_vs_reference": reference / (forward + backward)}
            rows.append(row)
    return rows


REFERENCE = Renderer("reference", gsplat_reference.rasterization, torch.device("cpu"))


def ball(count: int, device: torch.device | str = "cpu") -> list[Tensor]:
    """means, quats, scales, opacities and rgb of a ball of touching splats, each with gradient."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(count, 3, generator=generator) * 0.35
    size = 0.5 * count ** (-1 / 3)
    scales = size * (0.3 + torch.rand(count, 3, generator=generator))
    quats, opacities = torch.randn(count, 4, generator=generator), 0.9 * torch.rand(count, generator=generator)
    colors = torch.rand(count, 3, generator=generator)
    return [tensor.to(device).requires_grad_() for tensor in (means, quats, scales, opacities, colors)]


def arguments_of(renderer: Renderer, count: int, side: int, views: int) -> tuple[Any, ...]:
    """What a renderer is given for so many views of a ball."""
    camera, device = orbit(views), renderer.device
    return (*ball(count, device), camera.viewmats.to(device), camera.intrinsics(side, side).to(device), side, side)


def best(renderer: Renderer, count: int, side: int, views: int = 1) -> tuple[float, float]:
    """Seconds of forward and of backward for so many views of a ball: the fastest of all runs within half a second."""
    arguments = arguments_of(renderer, count, side, views)
    for _ in range(WARM_UP if renderer.device.type == "cuda" else 0):
        run_once(renderer, arguments)
    began = time.perf_counter()
    times: list[tuple[float, float]] = []
    while not times or time.perf_counter() - began < SECONDS:
        times.append(run_once(renderer, arguments))
    return min(times, key=sum)


def run_once(renderer: Renderer, arguments: tuple[Any, ...]) -> tuple[float, float]:
    """Seconds of one forward and one backward."""
    return (_once_on_card if renderer.device.type == "cuda" else _once)(renderer.rasterization, arguments)


def _once(render: Rasterization, arguments: tuple[Any, ...]) -> tuple[float, float]:
    began = time.perf_counter()
    total = _forward(render, arguments)
    rendered = time.perf_counter()
    torch.autograd.grad(total, arguments[:5])
    return rendered - began, time.perf_counter() - rendered


def _once_on_card(render: Rasterization, arguments: tuple[Any, ...]) -> tuple[float, float]:
    """By the card's own clock: the CPU's would only see how long it takes to ask for the work."""
    start, rendered, done = (torch.cuda.Event(enable_timing=True) for _ in range(3))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    start.record()
    total = _forward(render, arguments)
    rendered.record()
    torch.autograd.grad(total, arguments[:5])
    done.record()
    done.synchronize()
    return start.elapsed_time(rendered) / 1e3, rendered.elapsed_time(done) / 1e3


def _forward(render: Rasterization, arguments: tuple[Any, ...]) -> Tensor:
    pixels, alphas, _ = render(*arguments, render_mode="RGB+D")
    return pixels.sum() + alphas.sum()
