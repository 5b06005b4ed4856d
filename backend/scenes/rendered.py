"""The result of rendering a scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Render:
    """rgb (B,H,W,3) over its background, alpha (B,H,W,1), depth (B,H,W,1) accumulated, and the renderer's info."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    info: dict[str, Any] = field(default_factory=dict)

    def picture(self, channels: int) -> Tensor:
        """What a prior reads: rgb (B,H,W,3), or with four channels rgb and alpha."""
        return self.rgb if channels == 3 else torch.cat([self.rgb, self.alpha], -1)
