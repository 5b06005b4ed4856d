"""The pictures of a run's objects, prepared for comparison: by camera, at each size that the run renders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from backend.priors.grid import grid_rows
from backend.priors.kit import Views
from backend.priors.local_score import rgba_to_x

ANY = -1  # no particular camera
SIDES = 6  # cameras that stand for all of them
SINGLE_BYTES = 2**26  # above this the pictures are kept in half precision, and widened a camera at a time

Read = Callable[[], Views]  # the pictures of one object


@dataclass(frozen=True)
class Pictures:
    """x (M,4,S,S) of M pictures in [-1,1], and their squares summed over channels (M,S,S)."""

    x: Tensor
    squares: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Pictures:
        """Compute the squares."""
        return cls(x, (x * x).sum(1))

    @classmethod
    def cat(cls, parts: Sequence[Pictures]) -> Pictures:
        """Concatenate."""
        return cls(torch.cat([part.x for part in parts]), torch.cat([part.squares for part in parts]))


class Source(Protocol):
    """Pictures of `count` objects, equally many of each."""

    count: int

    def pictures(self, camera: int, side: int) -> Pictures:
        """Pictures from one of the grid's cameras; for `ANY` from several, all objects from one, then the next."""


class ObjectPictures:
    """Objects from the grid's cameras; a `Source`.  Read on first use and resized once for each size."""

    def __init__(self, read: Sequence[Read], device: torch.device) -> None:
        self.read, self.count, self.device = read, len(read), device
        self._x: dict[int, Tensor] = {}

    def pictures(self, camera: int, side: int) -> Pictures:
        """(count,4,side,side) from one camera; SIDES times as many for ANY."""
        x = self._all(side)
        return Pictures.of((x[:: len(x) // SIDES].flatten(0, 1) if camera == ANY else x[camera]).float())

    def _all(self, side: int) -> Tensor:
        """x (C,count,4,side,side)."""
        if side not in self._x:
            small = self.count * len(grid_rows()) * 16 * side**2 <= SINGLE_BYTES
            kept = torch.float32 if small else torch.float16
            seen = [rgba_to_x(torch.from_numpy(read()), side).to(self.device, kept) for read in self.read]
            self._x[side] = torch.stack(seen, 1)
        return self._x[side]


class KitSample:
    """One picture of each of several objects, whatever the camera: a `Source` for the empty prompt."""

    def __init__(self, read: Sequence[Read], cameras: Sequence[int], device: torch.device) -> None:
        self.read, self.cameras, self.count, self.device = read, cameras, len(read), device
        self._pictures: dict[int, Pictures] = {}

    def pictures(self, camera: int, side: int) -> Pictures:
        """(count,4,side,side), always the same."""
        if side not in self._pictures:
            pairs = zip(self.read, self.cameras, strict=True)
            x = [rgba_to_x(torch.from_numpy(read()[own : own + 1]), side) for read, own in pairs]
            self._pictures[side] = Pictures.of(torch.cat(x).to(self.device))
        return self._pictures[side]
