"""One differentiable `rasterization` for every device.

3D Gaussian splatting (Kerbl et al., 2308.04079) with gsplat's names, shapes and rules (2409.06765): tensors in,
pictures, alphas and the intermediate results out.  On CUDA it is gsplat where its extension is built
already, else our kernels (`card`); elsewhere our kernel for the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from backend.render.arguments import RenderMode, check, check_arguments, check_colors
from backend.render.by_gsplat import by_gsplat, gsplat_is_built
from backend.render.splatting import Composite, splatted


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
    `near_plane`..`far_plane` are skipped, as are those with NaN or infinite values; `eps2d` px² blur each one.

    Returns pixels (C,H,W,X), X = 3 plus 1 for a depth, accumulated ("D": Σ w z) or expected ("ED": Σ w z / Σ w);
    alphas (C,H,W,1); and gsplat's `info`, of which means2d (C,N,2) in pixels may `retain_grad()`, and radii (C,N,2)
    int32 in pixels are 0 where a Gaussian is not visible.  Raises RenderError for wrong shapes, types and modes.
    """
    check_arguments(means, quats, scales, opacities, viewmats, Ks, width, height, render_mode)
    check_colors(colors, means, len(viewmats), sh_degree)
    if backgrounds is not None:
        check(backgrounds, "backgrounds", (len(viewmats), 3), means)
    given = (means, quats, scales, opacities, colors, viewmats, Ks, width, height)
    options: dict[str, Any] = {
        "sh_degree": sh_degree,
        "backgrounds": backgrounds,
        "render_mode": render_mode,
        "near_plane": near_plane,
        "far_plane": far_plane,
        "eps2d": eps2d,
    }
    if means.device.type == "cuda" and gsplat_is_built():
        return by_gsplat(*given, **options)
    return splatted(compositing(means.device), *given, **options)


def compositing(device: torch.device) -> Composite:
    """Our own way of compositing for a device."""
    if device.type == "cuda":
        from backend.render import card

        return card.Composite.apply  # type: ignore[no-any-return]
    from backend.render import cpu

    return cpu.Composite.apply  # type: ignore[no-any-return]
