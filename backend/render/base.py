"""One differentiable `rasterization` for every device.

3D Gaussian splatting (Kerbl et al., 2308.04079) with gsplat's names, shapes and rules (2409.06765): tensors in,
pictures, alphas and the intermediate results out.  On CUDA it is gsplat itself, elsewhere our own kernel.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]


class RenderError(ValueError):
    """An argument that cannot be rendered: one sentence that names it."""


def rasterization(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,
    render_mode: RenderMode = "RGB",
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians from C cameras, on the device of `means`; everything is float32.

    means (N,3) in world units, quats (N,4) wxyz of any length, scales (N,3) standard deviations, opacities (N,) 0..1;
    colors (N,3) or (C,N,3) or, with `sh_degree`, harmonics (N,K,3), K >= (sh_degree+1)², whose sum + 0.5 is clamped
    at 0; viewmats (C,4,4) world to camera, Ks (C,3,3) in pixels; backgrounds (C,3), black if none.  Gaussians outside
    `near_plane`..`far_plane` are left out, as are those with a value that is no number; `eps2d` px² blur each one.

    Returns pixels (C,H,W,X), X = 3 plus 1 for a depth, accumulated ("D": Σ w z) or expected ("ED": Σ w z / Σ w);
    alphas (C,H,W,1); and gsplat's `info`, of which means2d (C,N,2) in pixels may `retain_grad()`, and radii (C,N,2)
    int32 in pixels are 0 where a Gaussian is not seen.  Raises RenderError for wrong shapes, types and modes.
    """
    _check_arguments(means, quats, scales, opacities, viewmats, Ks, width, height, render_mode)
    _check_colors(colors, means, len(viewmats), sh_degree)
    if backgrounds is not None:
        _check(backgrounds, "backgrounds", (len(viewmats), 3), means)
    if means.device.type == "cuda":
        from backend.render.cuda import rasterize
    else:
        from backend.render.cpu import rasterize
    return rasterize(
        means,
        quats,
        scales,
        opacities,
        colors,
        viewmats,
        Ks,
        width,
        height,
        sh_degree=sh_degree,
        backgrounds=backgrounds,
        render_mode=render_mode,
        near_plane=near_plane,
        far_plane=far_plane,
        eps2d=eps2d,
    )


def _check_arguments(
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
    count, cameras = (tensor.shape[0] if tensor.ndim else 0 for tensor in (means, viewmats))
    _check(means, "means", (count, 3), means)
    _check(quats, "quats", (count, 4), means)
    _check(scales, "scales", (count, 3), means)
    _check(opacities, "opacities", (count,), means)
    _check(viewmats, "viewmats", (cameras, 4, 4), means)
    _check(intrinsics, "Ks", (cameras, 3, 3), means)
    if width < 1 or height < 1:
        raise RenderError(f"width and height must be at least 1 pixel, not {width} x {height}.")
    if render_mode not in get_args(RenderMode):
        raise RenderError(f"render_mode must be one of {', '.join(get_args(RenderMode))}, not {render_mode!r}.")


def _check_colors(colors: Tensor, means: Tensor, cameras: int, sh_degree: int | None) -> None:
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


def _check(tensor: Tensor, name: str, shape: tuple[int, ...], means: Tensor) -> None:
    if tuple(tensor.shape) != shape:
        raise RenderError(f"{name} must have the shape {shape}, not {tuple(tensor.shape)}.")
    _check_kind(tensor, name, means)


def _check_kind(tensor: Tensor, name: str, means: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise RenderError(f"{name} must be float32, not {tensor.dtype}.")
    if tensor.device != means.device:
        raise RenderError(f"{name} must be on {means.device} as the means are, not on {tensor.device}.")
