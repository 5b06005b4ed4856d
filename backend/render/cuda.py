"""`rasterization` on CUDA: gsplat's own kernels."""

from __future__ import annotations

from typing import Any

from gsplat import rasterization
from torch import Tensor

from backend.render.arguments import RenderMode


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
    """As `base.rasterization`; unpacked, so that `info` has the same shapes as on the CPU."""
    pixels, alphas, info = rasterization(
        means,
        quats,
        scales,
        opacities,
        colors,
        viewmats,
        intrinsics,
        width,
        height,
        near_plane=near_plane,
        far_plane=far_plane,
        eps2d=eps2d,
        sh_degree=sh_degree,
        packed=False,
        backgrounds=backgrounds,
        render_mode=render_mode,
    )
    return pixels, alphas, info
