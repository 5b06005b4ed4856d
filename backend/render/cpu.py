"""`rasterization` on the CPU: projection by torch, compositing by the numba kernel, one autograd graph."""

from __future__ import annotations

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
from backend.render.arguments import SH_C0, RenderMode
from backend.render.project import project

# numba's workqueue aborts the process if two threads enter it at once.
_one_caller = threading.Lock()


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int | None,
    backgrounds: Tensor | None,
    render_mode: RenderMode,
    near_plane: float,
    far_plane: float,
    eps2d: float,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """As `base.rasterization`, which has checked the arguments."""
    cameras, count = len(viewmats), len(means)
    seen = project(means, quats, scales, viewmats, intrinsics, width, height, near_plane, far_plane, eps2d)
    rgb = colors if sh_degree is None else _sh_colors(sh_degree, colors, means, viewmats)
    features = torch.cat([rgb.expand(cameras, count, 3), seen.depths[..., None]], -1)
    if backgrounds is None:
        backgrounds = means.new_zeros(cameras, 3)
    behind = torch.nn.functional.pad(backgrounds, (0, 1))  # the background has depth 0
    shared = opacities.expand(cameras, count)
    pixels, transmittances, radii = _Composite.apply(  # type: ignore[no-untyped-call]
        seen.means2d, seen.factors, shared, features, behind, seen.depths.detach(), seen.in_range, width, height
    )
    alphas = 1 - transmittances[..., None]
    info = {
        "means2d": seen.means2d,
        "conics": seen.conics,
        "depths": seen.depths,
        "opacities": shared,
        "radii": radii,
        "gaussian_ids": None,
        "width": width,
        "height": height,
        "n_cameras": cameras,
    }
    return _select(pixels, alphas, render_mode), alphas, info


def _sh_colors(degree: int, sh: Tensor, means: Tensor, viewmats: Tensor) -> Tensor:
    """Colours (N,3) for degree 0, else (C,N,3), of harmonics sh (N,K,3) seen from the cameras."""
    if degree == 0:
        return (0.5 + SH_C0 * sh[:, 0]).clamp(min=0)
    from gsplat.cuda._torch_impl import _eval_sh_bases_fast  # takes seconds to import

    positions = torch.inverse(viewmats)[:, None, :3, 3]
    directions = torch.nn.functional.normalize(means - positions, dim=-1)
    count = (degree + 1) ** 2
    bases = _eval_sh_bases_fast(count, directions)
    # Channel by channel: half the time of one product with an axis of length three.
    channels = [(bases * sh[:, :count, channel]).sum(-1) for channel in range(3)]
    return (torch.stack(channels, -1) + 0.5).clamp(min=0)


def _select(pixels: Tensor, alphas: Tensor, mode: RenderMode) -> Tensor:
    """The channels of the mode, from red, green, blue and accumulated depth (C,H,W,4)."""
    if mode == "RGB":
        return pixels[..., :3]
    if mode == "RGB+D":
        return pixels
    depth = pixels[..., 3:] if mode == "D" else pixels[..., 3:] / alphas.clamp(min=1e-10)
    return torch.cat([pixels[..., :3], depth], -1) if mode == "RGB+ED" else depth


class _Composite(torch.autograd.Function):
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
        with _threads():
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
        with _threads():
            kernel.backward((*splats, bounds), ids, offsets, pictures, grads)
        behind = (transmittances[..., None] * grad_pixels).sum((1, 2)) if ctx.needs_input_grad[4] else None
        return *map(torch.from_numpy, grads), behind, None, None, None, None


def _arrays(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


@contextmanager
def _threads() -> Iterator[None]:
    """Run the kernel with torch's number of threads, one caller at a time."""
    with _one_caller:
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        yield
