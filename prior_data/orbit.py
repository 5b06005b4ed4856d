"""The camera positions for the pictures of an object, in the conventions of `backend/cameras.py`.

Z is up, azimuth 0° looks at the front and grows counter-clockwise seen from above.  The distance is k · r / sin(fov/2):
with k = 1 the object's bounding sphere of radius r just fills the picture.  The grid is the same for all objects, that
of `backend/priors/grid.py` (a test compares the two); this module runs without torch.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FOV = 40.0  # degrees, of the square picture
FRAMING = 1.05  # k
# A ring of cameras: elevation in degrees, number, azimuth of the first in units of the step between two.
RINGS = ((-5.0, 12, 0.5), (15.0, 16, 0.0), (40.0, 12, 0.5), (65.0, 8, 0.0))
LIGHT = (-0.35, -0.55, 0.75)  # direction towards the light, for an object with its front at -Y


def grid() -> NDArray[np.float32]:
    """Azimuth and elevation in degrees and distance factor k of the 48 cameras (48,3)."""
    rows = [(360 * (i + first) / count, elevation, FRAMING) for elevation, count, first in RINGS for i in range(count)]
    return np.array(rows, np.float32)


def position(azimuth: float, elevation: float, k: float, radius: float = 1.0) -> NDArray[np.float64]:
    """The position (3,) of the camera around an object of this radius at the origin."""
    a, e = math.radians(azimuth), math.radians(elevation)
    unit = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
    return unit * k * radius / math.sin(math.radians(FOV / 2))
