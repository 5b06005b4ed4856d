"""The 48 cameras from which every object of a kit is photographed: four rings around it.

On a fixed grid a rendered view can be compared with the objects' pictures from exactly the same camera; at arbitrary
angles the pictures would first have to be turned into one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from backend.cameras import Cameras, view_word

FOV = 40.0  # degrees
FRAMING = 1.05  # distance, in units of that at which the object's bounding sphere just fills the picture
# A ring: elevation in degrees, number of cameras, azimuth of the first in units of the step between two.
RINGS = ((-5.0, 12, 0.5), (15.0, 16, 0.0), (40.0, 12, 0.5), (65.0, 8, 0.0))
SIDE = 128  # pixels of a picture


def grid_rows() -> Tensor:
    """Azimuth and elevation in degrees and framing of each camera: (48,3)."""
    rows = [(360 * (i + first) / count, elevation, FRAMING) for elevation, count, first in RINGS for i in range(count)]
    return torch.tensor(rows, dtype=torch.float32)


def grid_cameras() -> Cameras:
    """The 48 cameras, around an object in the unit ball."""
    azimuth, elevation, framing = grid_rows().unbind(-1)
    distance = framing / math.sin(math.radians(FOV) / 2)
    return Cameras(azimuth, elevation, distance, torch.full_like(azimuth, FOV))


def nearest(grid: Cameras, cameras: Cameras, words: Sequence[str | None] = ()) -> list[int]:
    """The grid's camera nearest to each of B cameras; where a view word is given, among those with that word."""
    directions, targets = (c.positions.cpu() / c.distance.cpu()[:, None] for c in (grid, cameras))
    likeness = targets @ directions.T  # (B,C), cosines
    views = [view_word(float(a), float(e)) for a, e in zip(grid.azimuth, grid.elevation, strict=True)]
    for row, word in zip(likeness, words, strict=False):
        if word is not None:
            row[torch.tensor([view != word for view in views])] = -2
    return likeness.argmax(1).tolist()
