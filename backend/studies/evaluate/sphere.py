"""T3Bench's camera sphere: a camera at every corner of an icosphere, all looking at the origin."""

from __future__ import annotations

import numpy as np
import torch
import trimesh

from backend.cameras import Cameras


def sphere_cameras(subdivisions: int, distance: float, fov: float) -> Cameras:
    """A camera at every corner, in the icosphere's order: 12 without subdivisions, 162 with two.

    A camera straight above or below is a tenth of a degree beside that, so that its azimuth is defined.
    """
    corners = torch.from_numpy(np.array(trimesh.creation.icosphere(subdivisions=subdivisions).vertices)).float()
    azimuth = torch.rad2deg(torch.atan2(corners[:, 0], -corners[:, 1]))
    elevation = torch.rad2deg(torch.atan2(corners[:, 2], corners[:, :2].norm(dim=-1))).clamp(-89.9, 89.9)
    rows = (torch.full((len(corners),), value) for value in (distance, fov))
    return Cameras(azimuth, elevation, *rows)
