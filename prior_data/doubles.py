"""Finds objects that look alike from all sides: a kit needs only one of three columns in a catalogue."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CAMERAS = slice(12, 28, 2)  # eight views of the ring at 15 degrees
SMALLER = 4  # pictures are reduced by this factor before they are compared
GREY = 127.5
ALIKE = 22.0  # dB, over the pixels that either object covers, from which two are doubles

Array = NDArray[np.float32]


def features(views: NDArray[np.uint8]) -> tuple[Array, float]:
    """The features that are compared: premultiplied colour and alpha (D,), and the pixels covered."""
    seen = views[CAMERAS].astype(np.float32)
    alpha = seen[..., 3:] / 255
    layers = np.concatenate([(seen[..., :3] - GREY) * alpha, 255 * alpha], -1)
    count, side = layers.shape[:2]
    small = layers.reshape(count, side // SMALLER, SMALLER, side // SMALLER, SMALLER, 4).mean((2, 4))
    return small.reshape(-1), float((small[..., 3] / 255).sum())


class DoubleFinder:
    """The features of the objects that were kept so far."""

    def __init__(self) -> None:
        self._vectors: list[Array] = []
        self._covers: list[float] = []

    def double_of(self, views: NDArray[np.uint8]) -> int | None:
        """The number of the object that these pictures double; None if there is none, and they are then remembered."""
        vector, cover = features(views)
        errors = [float(np.square(vector - other).sum()) for other in self._vectors]
        for number, (error, other) in enumerate(zip(errors, self._covers, strict=True)):
            if decibels(error, max(cover, other)) >= ALIKE:
                return number
        self._vectors.append(vector)
        self._covers.append(cover)
        return None


def decibels(error: float, cover: float) -> float:
    """PSNR of a summed squared error over `cover` pixels of four channels."""
    return 10 * math.log10(4 * 255**2 * max(cover, 1e-6) / max(error, 1e-6))
