"""One `rasterization` for every device, with gsplat's names and shapes (see `base`)."""

from backend.render.arguments import SH_C0
from backend.render.base import rasterization
from backend.render.project import rotation_matrices

__all__ = ["SH_C0", "rasterization", "rotation_matrices"]
