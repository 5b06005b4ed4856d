"""What our renderers share: projection before, and what is made of pixels after, one of them has composited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend.render.arguments import SH_C0, RenderMode
from backend.render.project import project

# means2d (C,N,2), factors (C,N,3), opacities (C,N), features (C,N,4), backgrounds (C,4), depths (C,N), in_range (C,N),
# width, height -> pixels (C,H,W,4), transmittances (C,H,W), radii (C,N,2)
Composite = Callable[..., tuple[Tensor, Tensor, Tensor]]


def splatted(
    composite: Composite,
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
    """As `base.rasterization`, which has checked the arguments, by a way of compositing."""
    cameras, count = len(viewmats), len(means)
    seen = project(means, quats, scales, viewmats, intrinsics, width, height, near_plane, far_plane, eps2d)
    rgb = colors if sh_degree is None else _sh_colors(sh_degree, colors, means, viewmats)
    features = torch.cat([rgb.expand(cameras, count, 3), seen.depths[..., None]], -1)
    if backgrounds is None:
        backgrounds = means.new_zeros(cameras, 3)
    behind = torch.nn.functional.pad(backgrounds, (0, 1))  # nothing has no depth
    shared = opacities.expand(cameras, count)
    pixels, transmittances, radii = composite(
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
    # Channel by channel: half the time of one product with an axis of three in it.
    channels = [(bases * sh[:, :count, channel]).sum(-1) for channel in range(3)]
    return (torch.stack(channels, -1) + 0.5).clamp(min=0)


def _select(pixels: Tensor, alphas: Tensor, mode: RenderMode) -> Tensor:
    """The channels that the mode asks for, of red, green, blue, accumulated depth (C,H,W,4)."""
    if mode == "RGB":
        return pixels[..., :3]
    if mode == "RGB+D":
        return pixels
    depth = pixels[..., 3:] if mode == "D" else pixels[..., 3:] / alphas.clamp(min=1e-10)
    return torch.cat([pixels[..., :3], depth], -1) if mode == "RGB+ED" else depth
