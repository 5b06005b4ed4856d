"""Pictures of the jobs as icons, which panels can draw at any size.

They are not part of the Blender file: undo and saving do not touch them.
"""

from __future__ import annotations

from typing import Any

import bpy.utils.previews
import numpy as np
from numpy.typing import NDArray

ICON_SIDE = 32  # pixels, in a list
Pixels = NDArray[np.uint8]


class JobIcons:
    """Icons by name; `close` gives them back to Blender."""

    def __init__(self) -> None:
        self._previews = bpy.utils.previews.new()

    def show(self, name: str, image: Pixels) -> None:
        """Take (H,W,3) sRGB, the first row on top, as the picture of that name from now on."""
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"A picture of the shape {image.shape} cannot be shown.")
        picture: Any = self._previews.get(name) or self._previews.new(name)
        small = _shrink(image)
        picture.icon_size, picture.image_size = small.shape[1::-1], image.shape[1::-1]
        picture.icon_pixels.foreach_set(_packed(small))
        picture.image_pixels.foreach_set(_packed(image))

    def icon(self, name: str) -> int:
        """The number by which Blender draws it; 0 if there is no such picture, or if Blender has no window."""
        return self._previews[name].icon_id if name in self._previews else 0

    def __contains__(self, name: str) -> bool:
        return name in self._previews

    def close(self) -> None:
        """Remove all pictures."""
        bpy.utils.previews.remove(self._previews)


def _packed(image: Pixels) -> NDArray[np.int32]:
    """One number a pixel, the last row first, as Blender stores them."""
    rgba = np.full((*image.shape[:2], 4), 255, np.uint8)
    rgba[..., :3] = image[::-1]
    return rgba.view(np.int32).ravel()


def _shrink(image: Pixels) -> Pixels:
    """At most ICON_SIDE pixels on each side, by taking every n-th pixel."""
    step = -(-max(image.shape[:2]) // ICON_SIDE)
    return image[step // 2 :: step, step // 2 :: step] if min(image.shape[:2]) > step // 2 else image[::step, ::step]
