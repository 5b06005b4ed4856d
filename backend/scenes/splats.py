"""Gaussian splats as plain tensors, for rendering, export and saving."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from backend.cameras import Cameras
from backend.render import SH_C0, rasterization
from backend.scenes.rendered import Render
from backend.tensors import onto


@dataclass(frozen=True)
class Splats:
    """N Gaussians: means (N,3) metres, quats (N,4) wxyz of any length, log_scales (N,3) of sigma in metres,
    opacity_logits (N,), sh (N,K,3) with K = 1, 4, 9 or 16."""

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh: Tensor

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return int(self.sh.shape[1] ** 0.5) - 1

    @property
    def rgb(self) -> Tensor:
        """View-independent colour (N,3), not clamped."""
        return 0.5 + SH_C0 * self.sh[:, 0]

    def map(self, change: object) -> Splats:
        """The same with `change` applied to every tensor."""
        return Splats(*(change(getattr(self, f.name)) for f in fields(self)))  # type: ignore[operator]

    def placed(self, matrix: Tensor) -> Splats:
        """The splats moved and scaled by a matrix (4,4) without rotation."""
        size = matrix[0, 0]
        means = self.means * size + matrix[:3, 3]
        return Splats(means, self.quats, self.log_scales + size.log(), self.opacity_logits, self.sh)

    def detach(self) -> Splats:
        """Copies on the CPU, without gradient."""
        return self.map(lambda v: v.detach().cpu().clone())

    def finite(self) -> bool:
        return all(bool(torch.isfinite(getattr(self, f.name)).all()) for f in fields(self))


def render_splats(splats: Splats, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
    """Render from B cameras over backgrounds (B,3); differentiable in every tensor of `splats`."""
    device = splats.means.device
    pixels, alpha, info = rasterization(
        splats.means,
        splats.quats,
        splats.log_scales.exp(),
        splats.opacity_logits.sigmoid(),
        splats.sh,
        onto(cameras.viewmats, device),
        onto(cameras.intrinsics(width, height), device),
        width,
        height,
        sh_degree=splats.sh_degree,
        backgrounds=onto(backgrounds, device),
        render_mode="RGB+D",
    )
    return Render(pixels[..., :3], alpha, pixels[..., 3:], info)
