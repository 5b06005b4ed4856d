"""The modes of `rasterization`, and checks of its arguments."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

SH_C0 = 0.28209479177387814  # the constant spherical harmonic: rgb = 0.5 + SH_C0 * sh[:, 0]
RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]


class RenderError(ValueError):
    """An argument that cannot be rendered: one sentence that names it."""


def check_arguments(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    viewmats: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    render_mode: str,
) -> None:
    """RenderError where a tensor has another shape, type or device than `rasterization` says."""
    count, cameras = (tensor.shape[0] if tensor.ndim else 0 for tensor in (means, viewmats))
    check(means, "means", (count, 3), means)
    check(quats, "quats", (count, 4), means)
    check(scales, "scales", (count, 3), means)
    check(opacities, "opacities", (count,), means)
    check(viewmats, "viewmats", (cameras, 4, 4), means)
    check(intrinsics, "Ks", (cameras, 3, 3), means)
    if width < 1 or height < 1:
        raise RenderError(f"width and height must be at least 1 pixel, not {width} x {height}.")
    if render_mode not in get_args(RenderMode):
        raise RenderError(f"render_mode must be one of {', '.join(get_args(RenderMode))}, not {render_mode!r}.")


def check_colors(colors: Tensor, means: Tensor, cameras: int, sh_degree: int | None) -> None:
    """RenderError where the colours do not fit the means and cameras."""
    _check_kind(colors, "colors", means)
    shape, count = tuple(colors.shape), len(means)
    if sh_degree is None:
        if shape not in ((count, 3), (cameras, count, 3)):
            raise RenderError(f"colors must be ({count}, 3) or ({cameras}, {count}, 3) without sh_degree, not {shape}.")
        return
    if sh_degree not in range(4):
        raise RenderError(f"sh_degree must be 0, 1, 2 or 3, not {sh_degree}.")
    needed = (sh_degree + 1) ** 2
    if len(shape) != 3 or shape[0] != count or shape[1] < needed or shape[2] != 3:
        raise RenderError(f"colors must be ({count}, K, 3) with K >= {needed} for sh_degree {sh_degree}, not {shape}.")


def check(tensor: Tensor, name: str, shape: tuple[int, ...], means: Tensor) -> None:
    """RenderError where a tensor does not have the expected shape, type and device."""
    if tuple(tensor.shape) != shape:
        raise RenderError(f"{name} must have the shape {shape}, not {tuple(tensor.shape)}.")
    _check_kind(tensor, name, means)


def _check_kind(tensor: Tensor, name: str, means: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise RenderError(f"{name} must be float32, not {tensor.dtype}.")
    if tensor.device != means.device:
        raise RenderError(f"{name} must be on {means.device} as the means are, not on {tensor.device}.")
