"""What an evaluation knows already, a file for each prompt's result, so that a killed one goes on where it stopped.

A part is written as soon as it is computed, and the file is replaced whole.  Its mark says what it was computed from:
with other splats, other weights or another size of the pictures it is computed again.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.files import digested, replacing

Arrays = dict[str, Tensor]


class Record:
    """The parts of one result, by name."""

    def __init__(self, folder: Path, about: dict[str, str]) -> None:
        """`about` says what it is a record of, first of all the "prompt"; no two may be equal."""
        self.about = about
        key = zlib.crc32(json.dumps(about, sort_keys=True).encode())
        self.file = folder / f"{digested(about['prompt'])}-{key:08x}.json"
        self._parts = _read(self.file)

    def get(self, part: str, mark: str) -> Any:
        """A part's value, None where it is not there or was made of something else."""
        found = self._parts.get(part)
        return found["value"] if found is not None and found["mark"] == mark else None

    def put(self, part: str, mark: str, value: Any) -> None:
        """Keep a part's value, which JSON can hold.  OSError where the folder cannot be written."""
        self._parts[part] = {"mark": mark, "value": value}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": self.about, "parts": self._parts}, indent=2, ensure_ascii=False)
        with replacing(self.file) as file:
            file.write_text(text + "\n", encoding="utf-8")

    def part(self, part: str, mark: str, compute: Callable[[], Any]) -> Any:
        """The part, computed and kept where it is not there."""
        if (found := self.get(part, mark)) is None:
            found = compute()
            self.put(part, mark, found)
        return found

    def arrays(self, part: str, mark: str, compute: Callable[[], Arrays]) -> Arrays:
        """As `part` for arrays, which are in a file of their own beside it."""
        file = self.file.with_name(f"{self.file.stem}.{part}.npz")
        if self.get(part, mark) is not None and (kept := _read_arrays(file)) is not None:
            return kept
        found = compute()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as new, new.open("wb") as stream:
            whole: dict[str, Any] = {name: values.cpu().numpy() for name, values in found.items()}
            np.savez(stream, **whole)
        self.put(part, mark, file.name)
        return found


def file_mark(*files: Path) -> str:
    """A checksum of what is in these files; of missing ones, that they are missing."""
    mark = 0
    for file in files:
        mark = zlib.crc32(file.read_bytes() if file.exists() else b"missing", mark)
    return f"{mark:08x}"


def weights_mark(path: str | Path) -> str:
    """A mark of a judge's weights, from names, sizes and times of its files: weights are too large to be read for it.

    A hub id stands for itself.
    """
    where = Path(path)
    files = sorted(where.rglob("*")) if where.is_dir() else [where]
    known = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return f"{zlib.crc32(repr((str(path), known)).encode()):08x}"


def _read(file: Path) -> dict[str, Any]:
    """The parts in a file; none where there is no file, or it is not one of ours any more."""
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))["parts"]
        return {name: {"mark": part["mark"], "value": part["value"]} for name, part in parts.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_arrays(file: Path) -> Arrays | None:
    try:
        with np.load(file) as data:
            return {name: torch.from_numpy(data[name]) for name in data.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
