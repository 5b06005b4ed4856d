"""Where the camera stands for each picture of an object, in the conventions of `backend/cameras.py`.

Z is up, azimuth 0° looks at the front (the camera stands at -Y) and grows counter-clockwise seen from above.
The distance is k · r / sin(fov / 2): with k = 1 the object's bounding sphere of radius r just fills the picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FOV = 40.0  # degrees, of the square picture


def draw_cameras(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Azimuth and elevation in degrees and distance factor k (count,3); one azimuth in each of `count` sectors."""
    azimuth = 360 * (np.arange(count) + rng.random(count)) / count
    low, high = rng.uniform(-10, 45, count), rng.uniform(45, 80, count)
    elevation = np.where(rng.random(count) < 0.85, low, high)
    return np.stack([azimuth, elevation, rng.uniform(1.0, 1.2, count)], -1).astype(np.float32)


def position(azimuth: float, elevation: float, k: float, radius: float = 1.0) -> NDArray[np.float64]:
    """Where the camera stands (3,) around an object of this radius at the origin."""
    a, e = math.radians(azimuth), math.radians(elevation)
    unit = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
    return unit * k * radius / math.sin(math.radians(FOV / 2))
