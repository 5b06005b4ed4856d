"""A file that somebody may have worked in makes room for a new one, and stays."""

from __future__ import annotations

from itertools import count
from pathlib import Path


def rename_existing(path: Path) -> Path | None:
    """Rename a file, "scene.blend" to "scene-1.blend" or the next free number; its new path, if there was one."""
    if not path.exists():
        return None
    for number in count(1):
        other = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not other.exists():
            path.rename(other)
            return other
    raise AssertionError
