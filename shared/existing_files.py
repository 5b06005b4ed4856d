"""Renames a file that is in the way of a new one, because somebody may have worked in it."""

from __future__ import annotations

from itertools import count
from pathlib import Path


def rename_existing(path: Path) -> Path | None:
    """Rename "scene.blend" to "scene-1.blend", or the next free number.

    Returns the new path, or None if there is no such file.
    """
    if not path.exists():
        return None
    for number in count(1):
        other = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not other.exists():
            path.rename(other)
            return other
    raise AssertionError
