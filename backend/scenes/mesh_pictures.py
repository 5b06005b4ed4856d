"""Pictures that lie beside a mesh file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


def opened(name: str, path: Path, resolver: Any, notes: list[str]) -> Any:
    """A picture by its name; None, and a word, where it is not there or is none."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(resolver.get(name)))
        picture.load()
        return picture
    except FileNotFoundError:
        notes.append(f"the picture {name} does not lie beside {path.name}")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        notes.append(f"the picture {name} cannot be read")
    return None
