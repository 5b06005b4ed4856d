"""Pictures that a mesh file refers to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


def open_picture(name: str, path: Path, resolver: Any, notes: list[str]) -> Any:
    """A picture by its name; None, and a note, if it is missing or cannot be read."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(resolver.get(name)))
        picture.load()
        return picture
    except FileNotFoundError:
        notes.append(f"the picture {name} is not in the folder of {path.name}")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        notes.append(f"the picture {name} cannot be read")
    return None
