"""Cameras around the object, and the conventions that all modules share.

World: Blender's.  Z is up, -Y is the front, lengths in metres; the object lives in the unit ball around the
origin.  Cameras are OpenCV's: x right, y down, z forward; `viewmats` are world-to-camera.  Azimuth 0° looks
at the front (the camera stands at -Y) and grows counter-clockwise seen from above; elevation grows upwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

OVERHEAD = 60.0  # degrees of elevation above which a view is called "overhead"


Angle = TypeVar("Angle", float, Tensor)


def half_turn(azimuth: Angle) -> Angle:
    """An angle in degrees as the same angle in [-180,180): how far it is from the front, and to which side."""
    return (azimuth + 180) % 360 - 180


def view_word(azimuth: float, elevation: float) -> str:
    """front (within 45°), side, back (beyond 135°) or overhead (above 60°), for angles in degrees."""
    if elevation > OVERHEAD:
        return "overhead"
    turn = abs(half_turn(azimuth))
    return "front" if turn < 45 else "back" if turn > 135 else "side"


@dataclass(frozen=True)
class Cameras:
    """B cameras that look at the origin: azimuth, elevation and fov in degrees, distance in metres, each (B,)."""

    azimuth: Tensor
    elevation: Tensor
    distance: Tensor
    fov: Tensor

    def __len__(self) -> int:
        return len(self.azimuth)

    def __getitem__(self, rows: slice | Tensor) -> Cameras:
        return Cameras(self.azimuth[rows], self.elevation[rows], self.distance[rows], self.fov[rows])

    @property
    def positions(self) -> Tensor:
        """Where the cameras stand (B,3)."""
        azimuth, elevation = torch.deg2rad(self.azimuth), torch.deg2rad(self.elevation)
        flat = elevation.cos()
        unit = torch.stack([azimuth.sin() * flat, -azimuth.cos() * flat, elevation.sin()], -1)
        return unit * self.distance[:, None]

    @property
    def viewmats(self) -> Tensor:
        """World-to-camera matrices (B,4,4)."""
        positions = self.positions
        forward = -positions / positions.norm(dim=-1, keepdim=True)
        # The right-hand side follows from the azimuth alone, so that a camera straight above is well defined.
        azimuth = torch.deg2rad(self.azimuth)
        right = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], -1)
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
        matrices = torch.eye(4, dtype=positions.dtype, device=positions.device).repeat(len(self), 1, 1)
        matrices[:, :3, :3] = rotation
        matrices[:, :3, 3] = -torch.einsum("bij,bj->bi", rotation, positions)
        return matrices

    def intrinsics(self, width: int, height: int) -> Tensor:
        """Pinhole matrices (B,3,3) in pixels; fov is that of the shorter side."""
        focal = min(width, height) / 2 / torch.tan(torch.deg2rad(self.fov) / 2)
        matrices = torch.zeros(len(self), 3, 3, dtype=self.fov.dtype, device=self.fov.device)
        matrices[:, 0, 0] = matrices[:, 1, 1] = focal
        matrices[:, 0, 2], matrices[:, 1, 2], matrices[:, 2, 2] = width / 2, height / 2, 1
        return matrices

    @property
    def framing(self) -> Tensor:
        """Distance in units of that at which the unit ball just fills the picture (B,)."""
        return self.distance * torch.sin(torch.deg2rad(self.fov) / 2)


def orbit(count: int, elevation: float = 20.0, fov: float = 40.0, framing: float = 1.08, start: float = 0.0) -> Cameras:
    """`count` cameras evenly around the object, the first at azimuth `start`."""
    azimuth = start + torch.arange(count) * (360.0 / count)
    distance = framing / math.sin(math.radians(fov) / 2)
    rows = (torch.full((count,), float(value)) for value in (elevation, distance, fov))
    return Cameras(azimuth, *rows)


class CameraRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the cameras of a run stand; each pair is a uniform range."""

    azimuth: tuple[float, float] = (-180.0, 180.0)  # degrees
    elevation: tuple[float, float] = (-10.0, 45.0)  # degrees
    overhead_share: Annotated[float, Meta(ge=0, le=1)] = 0.0  # of the views, from 45° to 80° above
    fov: tuple[float, float] = (40.0, 40.0)  # degrees
    framing: tuple[float, float] = (1.0, 1.2)  # 1: the unit ball fills the picture

    def __post_init__(self) -> None:
        limits = {"azimuth": (-360.0, 360.0), "elevation": (-90.0, 90.0), "fov": (1.0, 150.0), "framing": (0.5, 20.0)}
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name} must be two rising numbers between {least:g} and {most:g}, not {low:g} and {high:g}"
                )


def within(cameras: Cameras, window: CameraRange) -> Cameras:
    """The cameras within the window's azimuths and elevations; if there are none, the one nearest to its middle."""
    azimuths, (low, high) = window.azimuth, window.elevation
    above = (cameras.elevation > 45) & (cameras.elevation <= 80) & (window.overhead_share > 0)
    inside = ((cameras.azimuth - azimuths[0]) % 360 <= azimuths[1] - azimuths[0]) & (
        above | ((cameras.elevation >= low) & (cameras.elevation <= high))
    )
    if inside.any():
        return cameras[inside]
    turn = half_turn(cameras.azimuth - sum(azimuths) / 2)
    away = turn.square() + (cameras.elevation - (low + high) / 2).square()
    return cameras[away.argmin()[None]]


def sample_cameras(window: CameraRange, count: int, generator: torch.Generator) -> Cameras:
    """`count` cameras whose azimuths are spread evenly over their range from a random start."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    turn = torch.rand((), generator=generator) + (torch.arange(count) + uniform(-0.25, 0.25)) / count
    azimuth = window.azimuth[0] + (turn % 1.0) * (window.azimuth[1] - window.azimuth[0])
    overhead = torch.rand(count, generator=generator) < window.overhead_share
    elevation = torch.where(overhead, uniform(45, 80), uniform(*window.elevation))
    fov = uniform(*window.fov)
    return Cameras(azimuth, elevation, uniform(*window.framing) / torch.sin(torch.deg2rad(fov) / 2), fov)
