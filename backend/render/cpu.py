"""Compositing on the CPU by the numba kernel, as a node of autograd."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from backend.render import footprint, kernel

# numba's workqueue aborts the process if two threads enter it at once.
_one_caller = threading.Lock()


class Composite(torch.autograd.Function):
    """The kernel as a node of autograd."""

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
        cameras, count = depths.shape
        splats = _arrays(means2d, factors, opacities, features)
        bounds, radii = np.empty((cameras, count, 4), np.int32), np.empty((cameras, count, 2), np.int32)
        footprint.measure(*splats, in_range.numpy(), bounds, radii, width, height)
        order = np.argsort(depths.numpy(), -1)  # numpy's is five times as fast as torch's
        offsets = np.empty(cameras * -(-height // kernel.BAND_ROWS) + 1, np.int64)
        ids = footprint.sort_into_bands(bounds, order, kernel.BAND_ROWS, height, offsets)
        pixels = np.empty((cameras, height, width, kernel.CHANNELS), np.float32)
        transmittances = np.empty((cameras, height, width), np.float32)
        with kernel_threads():
            kernel.forward((*splats, bounds), ids, offsets, *_arrays(backgrounds), (pixels, transmittances))
        out = torch.from_numpy(pixels), torch.from_numpy(transmittances), torch.from_numpy(radii)
        ctx.lists = bounds, ids, offsets
        ctx.save_for_backward(means2d, factors, opacities, features, *out[:2])
        ctx.mark_non_differentiable(out[2])
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_pixels: Tensor, grad_transmittances: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the first five arguments."""
        bounds, ids, offsets = ctx.lists
        *inputs, pixels, transmittances = ctx.saved_tensors
        splats = _arrays(*inputs)
        grads = tuple(np.zeros_like(array) for array in splats)
        pictures = _arrays(pixels, transmittances, grad_pixels, grad_transmittances)
        with kernel_threads():
            kernel.backward((*splats, bounds), ids, offsets, pictures, grads)
        behind = (transmittances[..., None] * grad_pixels).sum((1, 2)) if ctx.needs_input_grad[4] else None
        return *map(torch.from_numpy, grads), behind, None, None, None, None


def _arrays(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


@contextmanager
def kernel_threads() -> Iterator[None]:
    """Run the kernel on all cores, or as many as OMP_NUM_THREADS says, one caller at a time."""
    with _one_caller:
        most = numba.config.NUMBA_NUM_THREADS
        chosen = os.environ.get("OMP_NUM_THREADS", "")
        numba.set_num_threads(min(max(int(chosen), 1), most) if chosen.isdecimal() else most)
        yield
