"""One rendered object, with its metadata and pictures, in a file of its own.

An object's file is at its `source` below the output folder, so the folder shows what is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEAST_COVER = 0.02  # share of the picture that an object must cover to count as visible


class Unusable(ValueError):
    """The object cannot be used: it is not visible."""


@dataclass(frozen=True)
class Record:
    """The metadata of an object.

    `source` is unique: "infinigen/GENERATOR/SEED".  `front_known`: it has a front, which is at azimuth 0.
    """

    name: str
    source: str
    licence: str
    creator: str
    front_known: bool


def file_of(folder: Path, source: str) -> Path:
    """Where the pictures of `source` stand below `folder`."""
    return folder / f"{source}.npz"


def save(folder: Path, record: Record, rgba: NDArray[np.uint8], camera: NDArray[np.float32]) -> None:
    """Write rgba (V,S,S,4) and camera (V,3), all or nothing.

    Raises Unusable where fewer than half of the views show the object.
    """
    seen = (rgba[..., 3] / 255).mean((1, 2)) >= LEAST_COVER
    if 2 * seen.sum() < len(seen):
        raise Unusable(f"{record.source} covers under {LEAST_COVER:.0%} of the picture in most views; skip it")
    file = file_of(folder, record.source)
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    with half.open("wb") as out:
        np.savez_compressed(out, rgba=rgba, camera=camera, record=json.dumps(asdict(record)))
    half.rename(file)


def load(file: Path) -> tuple[Record, NDArray[np.uint8], NDArray[np.float32]]:
    """Record, rgba (V,S,S,4) and camera (V,3) of one object's file."""
    with np.load(file) as data:
        return Record(**json.loads(str(data["record"]))), data["rgba"], data["camera"]


def sources_in(folders: Iterable[Path]) -> set[str]:
    """The sources in the `objects*.json` of these folders; ValueError for a folder without any."""
    sources: set[str] = set()
    for folder in folders:
        listings = sorted(folder.glob("objects*.json"))
        if not listings:
            raise ValueError(f"--have {folder} has no objects*.json: name a folder of atlases")
        for listing in listings:
            sources |= {entry["source"] for entry in json.loads(listing.read_text(encoding="utf-8"))}
    return sources
