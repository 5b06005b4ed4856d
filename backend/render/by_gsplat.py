"""`rasterization` on CUDA by gsplat's own kernels, where they have been compiled already."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from backend.render.arguments import RenderMode


@cache
def gsplat_is_built() -> bool:
    """Whether gsplat's extension is there: in its wheel, or compiled by an earlier call.

    To ask gsplat itself would start a compilation of a quarter of an hour, or fail where there is no compiler.
    """
    from torch.utils.cpp_extension import _get_build_directory

    if importlib.util.find_spec("gsplat.csrc") is not None:
        return True
    built = Path(_get_build_directory("gsplat_cuda", verbose=False)).glob("gsplat_cuda.*")
    return any(file.suffix in (".so", ".pyd") for file in built)


def by_gsplat(
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
    from gsplat import rasterization

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
