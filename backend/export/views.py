"""Pictures of splats for the export: without gradient, a few cameras at a time, as numpy arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from backend.cameras import Cameras
from backend.scenes.splats import Splats, render_splats

Array = NDArray[np.float32]
CHUNK = 8  # cameras rendered together: limits a call's memory at 512 px to some 50 MB


def all_around(count: int, fov: float = 40.0, framing: float = 1.08) -> Cameras:
    """`count` cameras spread evenly over the whole sphere (a Fibonacci lattice), all looking at the origin."""
    row = torch.arange(count) + 0.5
    elevation = torch.rad2deg(torch.asin(1 - 2 * row / count))
    azimuth = (row * 180.0 * (3 - math.sqrt(5))) % 360.0
    distance = framing / math.sin(math.radians(fov) / 2)
    return Cameras(azimuth, elevation, torch.full((count,), distance), torch.full((count,), fov))


@dataclass(frozen=True)
class Pictures:
    """rgb (B,S,S,3) not clamped; alpha (B,S,S); depth (B,S,S), the splats' z weighted by their part in alpha."""

    rgb: Array
    alpha: Array
    depth: Array


def photograph(splats: Splats, cameras: Cameras, size: int, background: float) -> Pictures:
    """Square pictures of `size` pixels on a grey of value `background`."""
    chunks = []
    with torch.no_grad():
        for start in range(0, len(cameras), CHUNK):
            some = cameras[start : start + CHUNK]
            render = render_splats(splats, some, size, size, torch.full((len(some), 3), background))
            chunks.append([part.cpu().numpy() for part in (render.rgb, render.alpha[..., 0], render.depth[..., 0])])
    return Pictures(*map(np.concatenate, zip(*chunks, strict=True)))
