"""A kit on disk: objects photographed from the grid's cameras, one WebP each, and an index of them.

    KIT/kit.json    what the objects are, and how the pictures are laid out (`KitIndex`)
    KIT/0000.webp   an atlas of one object: a row of the grid's cameras after the other, RGBA, straight alpha, sRGB

The embedded prior is a kit; `python -m backend kit` makes one from the user's own objects.  Opening a kit reads only
the index; an object's atlas is read (8 ms) when its views are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from PIL import Image

from backend.files import replacing
from backend.priors.base import PriorError
from backend.priors.grid import FOV, SIDE, grid_rows

EMBEDDED = "embedded"  # the name of the shipped kit
SHIPPED = Path(__file__).parent / "objects"
INDEX = "kit.json"
FORMAT = 1
CHANNELS = "RGBA"
COLUMNS = 8  # of an atlas: 48 views are 6 rows of 8
# Of the WebP, colour and alpha: 45 dB and 50 dB at some 50 KB an object; a slower METHOD takes 4 s to save 2 %.
QUALITY, ALPHA_QUALITY, METHOD = 75, 70, 4
KEPT = 32  # atlases in memory, 3 MB each

Views = NDArray[np.uint8]  # (C,S,S,4)


def kit_folder(prior: str) -> Path | None:
    """The kit's folder for a prior's name; None for any other kind of prior."""
    if prior == EMBEDDED:
        return SHIPPED
    folder = Path(prior).expanduser()
    return folder if (folder / INDEX).is_file() else None


class KitError(PriorError):
    """A kit that cannot be used: one sentence that names the file and says what to do."""


class KitObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One object: its atlas, name, source and author."""

    file: str  # "0000.webp"
    name: str  # "Coffee table"
    source: str  # where it comes from, unique in the kit
    licence: str = ""
    creator: str = ""
    title: str = ""  # the creator's own name for it, if different
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)  # main colour: sRGB in [0,1]
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0  # of the object that has this colour


class KitIndex(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """kit.json."""

    format: int = FORMAT
    name: str
    side: int = SIDE
    channels: str = CHANNELS
    fov: float = FOV
    cameras: tuple[tuple[float, float, float], ...]  # azimuth, elevation, framing
    objects: tuple[KitObject, ...]


class Kit:
    """An open kit; raises KitError where the folder is not a kit, or not one that this version can use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.index = folder, read_index(folder)
        if not self.index.objects:
            raise KitError(f"{folder} has no objects: make the kit again.")
        self.views = lru_cache(KEPT)(self._views)

    def __len__(self) -> int:
        return len(self.index.objects)

    @property
    def name(self) -> str:
        return self.index.name

    @property
    def objects(self) -> tuple[KitObject, ...]:
        return self.index.objects

    def _views(self, number: int) -> Views:
        """The pictures (48,128,128,4) of an object; KitError where its atlas is missing or damaged."""
        return read_atlas(self.folder / self.objects[number].file)


def read_atlas(file: Path) -> Views:
    """The pictures of an atlas, straight alpha; KitError names the file where it cannot be read."""
    try:
        with Image.open(file) as opened:
            atlas = np.asarray(opened.convert(CHANNELS))
    except FileNotFoundError as error:
        raise KitError(f"{file} is missing: make the kit again, or restore that file.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise KitError(f"{file} is damaged: make the kit again, or restore that file.") from error
    rows = -(-len(grid_rows()) // COLUMNS)
    if atlas.shape != (rows * SIDE, COLUMNS * SIDE, 4):
        raise KitError(f"{file} is {atlas.shape[1]}x{atlas.shape[0]} pixels, not {COLUMNS * SIDE}x{rows * SIDE}.")
    tiles = atlas.reshape(rows, SIDE, COLUMNS, SIDE, 4).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(-1, SIDE, SIDE, 4)[: len(grid_rows())])


def write_atlas(views: Views, file: Path, quality: int = QUALITY) -> None:
    """Views (48,128,128,4) as one WebP.  The colour of empty pixels is kept, as it bleeds into edges."""
    count, side = views.shape[:2]
    rows = -(-count // COLUMNS)
    tiles = np.zeros((rows * COLUMNS, side, side, 4), np.uint8)
    tiles[:count] = views
    atlas = tiles.reshape(rows, COLUMNS, side, side, 4).swapaxes(1, 2).reshape(rows * side, COLUMNS * side, 4)
    Image.fromarray(atlas).save(file, format="WEBP", quality=quality, alpha_quality=ALPHA_QUALITY, method=METHOD)


def new_index(name: str, objects: Iterable[KitObject] = ()) -> KitIndex:
    """The index of a kit of this version."""
    cameras = tuple((a, e, round(framing, 4)) for a, e, framing in grid_rows().tolist())
    return KitIndex(name=name, cameras=cameras, objects=tuple(objects))


def write_index(index: KitIndex, folder: Path) -> None:
    """kit.json, whole or not at all; OSError where the disk is full."""
    lines = b",\n".join(
        map(msgspec.json.encode, index.objects)
    )  # one object a line, so that two kits can be compared with diff
    empty = msgspec.json.encode(msgspec.structs.replace(index, objects=()))
    with replacing(folder / INDEX) as file:
        file.write_bytes(empty.removesuffix(b"]}") + b"\n" + lines + b"\n]}\n")


def read_index(folder: Path) -> KitIndex:
    """kit.json, which may still be without objects; KitError where this version cannot use it."""
    file = folder / INDEX
    try:
        index = msgspec.json.decode(file.read_bytes(), type=KitIndex)
    except FileNotFoundError as error:
        raise KitError(f"{folder} is not a kit: it has no {INDEX}.") from error
    except OSError as error:
        raise KitError(f"{file} cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KitError(f"{file} is damaged ({error}): make the kit again.") from error
    _check(folder, index)
    return index


def _check(folder: Path, index: KitIndex) -> None:
    """KitError unless the pictures are of the kind that this version reads."""
    ours = [tuple(row) for row in grid_rows().tolist()]
    theirs = [tuple(row) for row in index.cameras]
    if index.format != FORMAT:
        raise KitError(f"{folder} is a kit of format {index.format}, not {FORMAT}: make it again with this version.")
    if index.channels != CHANNELS:
        raise KitError(f"{folder} has {index.channels} pictures, not {CHANNELS}: make the kit again.")
    if (index.side, index.fov) != (SIDE, FOV) or len(ours) != len(theirs) or not np.allclose(ours, theirs, atol=1e-3):
        raise KitError(f"{folder} was photographed from other cameras: make the kit again.")
