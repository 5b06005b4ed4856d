"""One `rasterization` for every device, with gsplat's names and shapes (see `base`)."""

from backend.render.base import rasterization

__all__ = ["rasterization"]
