"""The camera as the embedded prior's U-Net reads it: eight numbers in place of a class label."""

from __future__ import annotations

import torch
from torch import Tensor

FEATURES = 8


def camera_features(cameras: Tensor) -> Tensor:
    """(B,3) azimuth and elevation in degrees and distance factor (1 = the object fills the picture) -> (B,8).

    The last number says "camera known"; eight zeros are the camera of an unconditional prediction.
    """
    azimuth, elevation = torch.deg2rad(cameras[:, 0]), torch.deg2rad(cameras[:, 1])
    distance = cameras[:, 2] * 5 - 5.5
    rows = [azimuth.sin(), azimuth.cos(), (2 * azimuth).sin(), (2 * azimuth).cos()]
    return torch.stack([*rows, elevation.sin(), elevation.cos(), distance, torch.ones_like(azimuth)], -1)
