"""Reads photographed objects from a kit, from files of one object each, or from a folder of atlases.

KIT/kit.json + *.webp           by `prior_data.sweethome`
FOLDER/**/*.npz                 by `prior_data.procedural`: rgba (48,128,128,4), cameras, and the record
FOLDER/objects.json + *.webp    atlases made elsewhere on the same grid: file, name, source, licence, creator
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from backend.priors.kit import INDEX, Kit, Views, read_atlas
from prior_data.orbit import grid
from prior_data.record import load


@dataclass(frozen=True)
class Shot:
    """A photographed object; `views` reads its pictures (48,128,128,4), `atlas` is a file to be copied unchanged."""

    source: str
    name: str
    licence: str
    creator: str
    views: Callable[[], Views]
    atlas: Path | None = None


def taken(folders: list[Path]) -> list[Shot]:
    """The shots of all folders by source; the first folder with a source counts.  ValueError if one has none."""
    shots: dict[str, Shot] = {}
    for folder in folders:
        found = list(_of(folder))
        if not found:
            raise ValueError(f"{folder} has no pictures: name a folder that sweethome or procedural has written")
        shots = {shot.source: shot for shot in found} | shots
    return [shots[source] for source in sorted(shots)]


def _of(folder: Path) -> Iterator[Shot]:
    if (folder / INDEX).is_file():
        kit = Kit(folder)
        for number, thing in enumerate(kit.objects):
            read = partial(kit.views, number)
            yield Shot(thing.source, thing.title or thing.name, thing.licence, thing.creator, read, folder / thing.file)
    elif (folder / "objects.json").is_file():
        for entry in json.loads((folder / "objects.json").read_text(encoding="utf-8")):
            read = partial(read_atlas, folder / entry["file"])
            yield Shot(entry["source"], entry["name"], entry["licence"], entry["creator"], read)
    else:
        for file in sorted(folder.rglob("*.npz")):
            record, _, cameras = load(file)
            if not np.allclose(cameras, grid(), atol=1e-3):
                raise ValueError(f"{file} was photographed from other cameras: render it again")
            yield Shot(record.source, record.name, record.licence, record.creator, partial(_rendered, file))


def _rendered(file: Path) -> Views:
    return load(file)[1]
