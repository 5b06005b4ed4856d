"""Pictures of the splats from all sides: a contact sheet (PNG) and a loop (animated WebP)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backend.cameras import orbit
from backend.export.views import photograph
from backend.files import replacing
from backend.scenes.splats import Splats

WHITE = 1.0
LOOP_MILLISECONDS = 4000


def turntable_png(splats: Splats, path: str | Path, views: int = 8, size: int = 256) -> None:
    """Pictures of `size` pixels from `views` sides in one row, the front first, on white."""
    pictures = _pictures(splats, views, size)
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(pictures, 1)).save(temporary, "PNG", optimize=True)


def turntable_webp(splats: Splats, path: str | Path, frames: int = 48, size: int = 320) -> None:
    """An endless loop of one turn in four seconds, on white."""
    first, *others = map(Image.fromarray, _pictures(splats, frames, size))
    with replacing(path) as temporary:
        first.save(
            *(temporary, "WEBP"),
            save_all=True,
            append_images=others,
            duration=LOOP_MILLISECONDS // frames,
            loop=0,
            quality=85,
        )


def _pictures(splats: Splats, count: int, size: int) -> list[np.ndarray]:
    """`count` pictures (size,size,3) uint8 around the object."""
    rgb = photograph(splats, orbit(count), size, WHITE).rgb
    return list(np.rint(255 * rgb.clip(0, 1)).astype(np.uint8))
