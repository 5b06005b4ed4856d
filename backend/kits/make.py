"""Makes a kit: photographs every object, finds its colour, writes it; a generator that can be stopped and repeated.

An atlas is named by a digest of what it was made from and never overwritten, and kit.json is replaced whole: so after a
killed process or a full disk there is still a kit, and the next call reuses every existing atlas.  Only one object at a
time is in memory.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from backend.errors import UserError
from backend.files import replacing
from backend.kits.colour import main_colour
from backend.kits.photograph import photograph
from backend.kits.subjects import Subject
from backend.priors.kit import (
    INDEX,
    QUALITY,
    KitError,
    KitObject,
    new_index,
    read_atlas,
    read_index,
    write_atlas,
    write_index,
)
from backend.scenes.meshes import Surface

RESERVED = "embedded"  # the shipped kit
LONGEST_NAME = 60
LOOK_VERSION = 3  # raise it when changes to the code change the pictures of an object
SAVE_EVERY = 2.0  # seconds between writes of kit.json


@dataclass(frozen=True)
class Photographed:
    """An object is in the kit, after `done` of `of` files; `kept` if an earlier call photographed it.

    `notes` are sentences on colours that could not be read.
    """

    done: int
    of: int
    name: str
    kept: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A file, or one object of it, that could not be read, and why; the others are not affected."""

    done: int
    of: int
    name: str
    text: str


Event = Photographed | Skipped


@dataclass(frozen=True)
class Camera:
    """How objects are photographed: the device, and the quality of the WebP."""

    device: torch.device | str = "cpu"
    quality: int = QUALITY


def make_kit(
    files: Sequence[Subject], out: Path, name: str = "", *, overwrite: bool = False, camera: Camera | None = None
) -> Generator[Event, None, None]:
    """Photograph every object of the files into the kit `out`; yields an event for each.

    An existing kit is added to: objects of a given file are made again if the file has changed, all others are kept.
    With `overwrite` the kit gets only the objects of these files, and stays the old one until all are done.  The name
    defaults to that of the folder.  To stop, do not ask for the next event: what is done is a kit then.

    Raises KitError in one sentence for a folder with other content, a bad name, files of which none can be read, and a
    full disk.
    """
    writer = _KitWriter(out, _checked_name(name or out.resolve().name), overwrite)
    try:
        writer.begin()
        yield from _objects(files, writer, camera or Camera())
        writer.finish()
    except OSError as error:
        raise _unwritten(out, error) from error
    finally:
        with suppress(OSError):  # a full disk was reported already
            writer.stop()


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise KitError(f"name: {name!r} cannot be the name of a kit; choose 1 to {LONGEST_NAME} letters with --name.")
    if name.strip().lower() == RESERVED:
        raise KitError(f"name: {RESERVED!r} is the shipped kit; choose another name with --name.")
    return name.strip()


def _unwritten(out: Path, error: OSError) -> KitError:
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return KitError(f"out: {out} cannot be written ({reason}); fix that and try again, finished objects are kept.")


class _KitWriter:
    """Writes the folder of a kit while its objects are made."""

    def __init__(self, out: Path, name: str, overwrite: bool) -> None:
        self.out, self.name = out, name
        self._exists = (out / INDEX).is_file()
        if not self._exists and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise KitError(f"out: {out} is not a kit; choose an empty or new folder with --out.")
        old = read_index(out).objects if self._exists and not overwrite else ()
        self.objects = {thing.source: thing for thing in old}
        self._only_complete = overwrite and self._exists
        self._saved = 0.0

    def begin(self) -> None:
        """Make the folder a kit from the start."""
        self.out.mkdir(parents=True, exist_ok=True)
        if not self._exists:
            self._save()

    def replace(self, subject: Subject, things: Sequence[KitObject]) -> None:
        """Replace the objects of a file."""
        old = [source for source in self.objects if subject.owns(source)]
        for source in old:
            del self.objects[source]
        self.objects |= {thing.source: thing for thing in things}
        if not self._only_complete and time.monotonic() > self._saved + SAVE_EVERY:
            self._save()

    def stop(self) -> None:
        """Write what is done, unless it was to replace another kit."""
        if self._exists and not self._only_complete and self.objects:
            self._save()

    def finish(self) -> None:
        """Write the complete kit and remove atlases that do not belong to it."""
        if not self.objects:
            raise KitError("FILES: none of the files could be read, so there is no kit; see the notes.")
        self._only_complete = False
        self._save()
        named = {thing.file for thing in self.objects.values()}
        for file in self.out.glob("*.webp"):
            if file.name not in named:
                file.unlink()

    def _save(self) -> None:
        write_index(new_index(self.name, self.objects.values()), self.out)
        self._exists, self._saved = True, time.monotonic()


def _objects(files: Sequence[Subject], writer: _KitWriter, camera: Camera) -> Iterator[Event]:
    """An event for each object, and one for each that cannot be read."""
    for done, subject in enumerate(files, 1):
        try:
            digest, parts = subject.digest(), subject.parts()
        except UserError as error:
            yield Skipped(done, len(files), subject.name, reason(error))
            continue
        things: list[KitObject] = []
        for node, load in parts.items():
            name = subject.name_of(node)
            try:
                file, kept, notes = _atlas(writer.out, f"{digest} {node}", load, camera)
            except UserError as error:
                yield Skipped(done, len(files), name, reason(error))
                continue
            things.append(_kit_object(subject, node, writer.out / file))
            writer.replace(subject, things)
            yield Photographed(done, len(files), name, kept, notes)


def _atlas(out: Path, made_from: str, load: Callable[[], Surface], camera: Camera) -> tuple[str, bool, tuple[str, ...]]:
    """The file of an object's atlas, whether it existed already, and notes on colours that could not be read.

    UserError where nothing is visible.
    """
    file = f"{hashlib.sha256(f'{made_from} {camera.quality} {LOOK_VERSION}'.encode()).hexdigest()[:16]}.webp"
    if (out / file).is_file():
        with suppress(KitError):  # damaged: photographed again
            read_atlas(out / file)
            return file, True, ()
    surface = load()
    views = photograph(surface, camera.device)
    with replacing(out / file) as half:
        write_atlas(views, half, camera.quality)
    return file, False, surface.notes


def _kit_object(subject: Subject, node: str, file: Path) -> KitObject:
    """The index entry of an object whose atlas is written."""
    colour, share = main_colour(read_atlas(file))
    return KitObject(
        file=file.name,
        name=subject.name_of(node),
        source=subject.source_of(node),
        licence=subject.credits.licence,
        creator=subject.credits.creator,
        title=subject.credits.title,
        colour=colour,
        share=share,
    )


def reason(error: UserError) -> str:
    """The error's sentence without the job's field, with which errors of surfaces begin."""
    return str(error).removeprefix("init_mesh: ")
