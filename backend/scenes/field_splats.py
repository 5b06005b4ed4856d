"""A radiance field as splats that look like it, and splats as the field that a run starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.scenes.settings import FieldSettings
from backend.scenes.splats import Splats


def as_splats(grid: Tensor, settings: FieldSettings) -> Splats:
    """Splats at the corners of the grid."""
    raise NotImplementedError
