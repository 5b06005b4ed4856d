"""The renderer's forward and backward, and how much faster it is than gsplat's reference in torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from backend.cameras import orbit
from backend.render import rasterization
from backend.studies.bench import gsplat_reference

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]


def renderer_rows(sizes: Sequence[int], resolutions: Sequence[int], reference_budget_s: float) -> list[dict[str, Any]]:
    """One row per number of splats and side in pixels: splats, pixels, forward_ms and backward_ms of one view.

    The reference runs only where its time, estimated from earlier rows, fits into the rest of the budget in seconds;
    then the row also has reference_ms, forward and backward, and speedup_vs_reference.
    """
    best(rasterization, ball(1), 8)  # compiles the kernel
    rows, pace = [], 0.0  # the reference's seconds per splat and pixel
    for count in sizes:
        for side in resolutions:
            scene = ball(count)
            forward, backward = best(rasterization, scene, side)
            row = {"splats": count, "pixels": side, "forward_ms": forward * 1e3, "backward_ms": backward * 1e3}
            if pace * count * side**2 < reference_budget_s:
                reference = sum(best(gsplat_reference.rasterization, scene, side))
                reference_budget_s -= max(reference, 0.5)
                pace = reference / (count * side**2)
                row |= {"reference_ms": reference * 1e3, "speedup_vs_reference": reference / (forward + backward)}
            rows.append(row)
    return rows


def ball(count: int) -> list[Tensor]:
    """means, quats, scales, opacities and rgb of a ball of touching splats, each with gradient."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(count, 3, generator=generator) * 0.35
    size = 0.5 * count ** (-1 / 3)
    scales = size * (0.3 + torch.rand(count, 3, generator=generator))
    quats, opacities = torch.randn(count, 4, generator=generator), 0.9 * torch.rand(count, generator=generator)
    colors = torch.rand(count, 3, generator=generator)
    return [tensor.requires_grad_() for tensor in (means, quats, scales, opacities, colors)]


def best(render: Rasterization, scene: list[Tensor], side: int) -> tuple[float, float]:
    """Seconds of forward and of backward for one view: the fastest of all runs within half a second."""
    camera = orbit(1)
    arguments = (*scene, camera.viewmats, camera.intrinsics(side, side), side, side)
    began = time.perf_counter()
    times: list[tuple[float, float]] = []
    while not times or time.perf_counter() - began < 0.5:
        times.append(_once(render, arguments))
    return min(times, key=sum)


def _once(render: Rasterization, arguments: tuple[Any, ...]) -> tuple[float, float]:
    began = time.perf_counter()
    pixels, alphas, _ = render(*arguments, render_mode="RGB+D")
    rendered = time.perf_counter()
    torch.autograd.grad(pixels.sum() + alphas.sum(), arguments[:5])
    return rendered - began, time.perf_counter() - rendered
