"""What is photographed: files with one object each, or with one per node."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from backend.kits.names import clean_name
from backend.priors.kit import KitError
from backend.scenes.meshes import SUFFIXES, InitialError, Surface, check_surface, load_surface, load_surfaces

Parts = Mapping[str, Callable[[], Surface]]


class Credits(NamedTuple):
    """Title, creator and licence of an object."""

    title: str = ""
    creator: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Subject:
    """A file and how it is read.

    `parts` returns a function for each object that reads it, by the name of its node, "" for the whole file; both may
    raise UserError in one sentence.  `read_as` distinguishes two ways of reading one file.
    """

    source: str
    name: str
    path: Path
    parts: Callable[[], Parts]
    read_as: str = ""
    credits: Credits = field(default_factory=Credits)

    def digest(self) -> str:
        """A digest of the file's content and of how it is read; InitialError where the file cannot be read."""
        try:
            with self.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InitialError(f"{self.path} cannot be read ({error.strerror}); give the path of a mesh.") from error
        return f"{content} {self.read_as}"

    def source_of(self, node: str) -> str:
        return f"{self.source}#{node}" if node else self.source

    def name_of(self, node: str) -> str:
        return clean_name(node, self.name) if node else self.name

    def owns(self, source: str) -> bool:
        """Whether this is the source of one of the file's objects."""
        return source == self.source or source.startswith(f"{self.source}#")


def subjects(paths: Iterable[Path], split: bool = False) -> list[Subject]:
    """A subject for each file and for each mesh file below a folder, without duplicates; KitError if there are none."""
    files: dict[Path, None] = {}
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        files |= dict.fromkeys(file.resolve() for file in inside)
    if not files:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise KitError(f"FILES: there is no mesh; give files of the kinds {kinds}, or folders with some.")
    return [_subject(file, split) for file in files]


def _subject(file: Path, split: bool) -> Subject:
    parts = (lambda: _nodes(file)) if split else (lambda: {"": lambda: load_surface(file)})
    return Subject(file.as_posix(), clean_name(file.stem), file, parts, "node by node" if split else "")


def _nodes(file: Path) -> Parts:
    def reader(surface: Surface) -> Callable[[], Surface]:
        def read() -> Surface:
            check_surface(file, surface)
            return surface

        return read

    return {node: reader(surface) for node, surface in load_surfaces(file).items()}
