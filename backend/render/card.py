"""Compositing on a CUDA card by our own kernels, which are built when they are first used, without a compiler.

`splats.cu` is compiled by NVRTC in a tenth of a second and launched by cuda-core; torch for CUDA brings both libraries.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from backend.render.tiles import TILE, half_sizes, tile_lists

SOURCE = Path(__file__).with_name("splats.cu")
KERNELS = ("composite", "composite_backward")


class Composite(torch.autograd.Function):
    """The kernels as a node of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        factors: Tensor,
        opacities: Tensor,
        features: Tensor,
        backgrounds: Tensor,
        depths: Tensor,
        in_range: Tensor,
        width: int,
        height: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """means2d (C,N,2), factors (C,N,3), opacities (C,N), features (C,N,4), backgrounds (C,4), depths and in_range
        (C,N) -> pixels (C,H,W,4), transmittances (C,H,W), radii (C,N,2)."""
        splats = [value.detach().contiguous() for value in (means2d, factors, opacities, features)]
        half = half_sizes(splats[0], splats[1], splats[2], splats[3], in_range, width, height)
        lists = tile_lists(splats[0], half, depths, width, height)
        grid = lists.across, lists.down, len(depths)
        pixels = means2d.new_empty(len(depths), height, width, 4)
        transmittances = means2d.new_empty(len(depths), height, width)
        behind = backgrounds.detach().contiguous()
        launch("composite", grid, *splats, lists.ids, lists.offsets, behind, width, height, pixels, transmittances)
        ctx.save_for_backward(*splats, lists.ids, lists.offsets, pixels, transmittances)
        ctx.grid, ctx.size = grid, (width, height)
        radii = half.ceil().int()
        ctx.mark_non_differentiable(radii)
        return pixels, transmittances, radii

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_pixels: Tensor, grad_transmittances: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the first five arguments."""
        *splats, ids, offsets, pixels, transmittances = ctx.saved_tensors
        grads = tuple(torch.zeros_like(value) for value in splats)
        given = pixels, transmittances, grad_pixels.contiguous(), grad_transmittances.contiguous()
        launch("composite_backward", ctx.grid, *splats, ids, offsets, *ctx.size, *given, *grads)
        behind = (transmittances[..., None] * grad_pixels).sum((1, 2)) if ctx.needs_input_grad[4] else None
        return *grads, behind, None, None, None, None


def launch(kernel: str, grid: tuple[int, int, int], *arguments: Tensor | int) -> None:
    """Run a kernel with a block for each tile, on the current stream of the card that has the tensors."""
    from cuda.core import Device, LaunchConfig
    from cuda.core import launch as launch_on

    if 0 in grid:
        return
    device = next(value.device for value in arguments if isinstance(value, Tensor))
    with torch.cuda.device(device):
        card = Device(device.index)
        card.set_current()
        found = _built(device.index, card.arch)[kernel]
        passed = [value.data_ptr() if isinstance(value, Tensor) else np.int32(value) for value in arguments]
        launch_on(_Stream(device), LaunchConfig(grid=grid, block=(TILE * TILE, 1, 1)), found, *passed)


@cache
def _built(_index: int, architecture: str) -> dict[str, Any]:
    """The kernels of a card, "89" for compute capability 8.9: compiled once a process."""
    binary = compiled(architecture)
    return {name: binary.get_kernel(name) for name in KERNELS}


def compiled(architecture: str) -> Any:
    """cuda-core's ObjectCode of `splats.cu`, "cubin" for one architecture; needs no card."""
    from cuda.core import Program, ProgramOptions

    options = ProgramOptions(std="c++17", arch=f"sm_{architecture}")
    return Program(SOURCE.read_text(encoding="utf-8"), "c++", options).compile("cubin")


class _Stream:
    """torch's current stream in the protocol by which CUDA's Python packages hand streams on."""

    def __init__(self, device: torch.device) -> None:
        self._handle = torch.cuda.current_stream(device).cuda_stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._handle
