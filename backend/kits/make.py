"""Makes a kit: photographs every object, tells its colour, writes it; a generator that can be stopped and called again.

An atlas is named by what it was made from and never written over, and kit.json is replaced whole: so of a process that
was killed, or a disk that was full, a kit is left, and the next call takes up every atlas that is there.  One object
at a time is in memory.
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

RESERVED = "embedded"  # the kit that ships
LONGEST_NAME = 60
LOOK = 3  # of the pictures: another one whenever the same object would come out otherwise
SAVE_EVERY = 2.0  # seconds from one writing of kit.json to the next


@dataclass(frozen=True)
class Photographed:
    """An object is in the kit: `done` of `of` files are; `kept` where an earlier call had photographed it.

    `notes` are sentences on colours that could not be read.
    """

    done: int
    of: int
    name: str
    kept: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A file, or one object of it, that could not be read, and why; the rest goes on."""

    done: int
    of: int
    name: str
    text: str


Event = Photographed | LeftOut


@dataclass(frozen=True)
class Camera:
    """How objects are photographed: on which device, and of what quality the WebP is."""

    device: torch.device | str = "cpu"
    quality: int = QUALITY


def make_kit(
    files: Sequence[Subject], out: Path, name: str = "", *, overwrite: bool = False, camera: Camera | None = None
) -> Generator[Event, None, None]:
    """Photograph every object of the files into the kit `out`; yields an event for each.

    A kit that is there already is added to: objects of the same file are made again where the file has changed, all
    others are kept.  With `overwrite` the kit holds those of these files alone, and is the old one until all are done.
    Without a name it is called as its folder.  Not asking for the next event stops: what is done is a kit by then.

    Raises KitError in one sentence for a folder that holds something else, a bad name, files of which none can be read,
    and a disk that is full.
    """
    making = _Making(out, _checked_name(name or out.resolve().name), overwrite)
    try:
        making.begin()
        yield from _objects(files, making, camera or Camera())
        making.finish()
    except OSError as error:
        raise _unwritten(out, error) from error
    finally:
        with suppress(OSError):  # of a full disk the sentence is said already
            making.stop()


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise KitError(f"name: {name!r} is no name for a kit; give one of 1 to {LONGEST_NAME} letters with --name.")
    if name.strip().lower() == RESERVED:
        raise KitError(f"name: {RESERVED!r} is the kit that ships; give yours another one with --name.")
    return name.strip()


def _unwritten(out: Path, error: OSError) -> KitError:
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return KitError(f"out: {out} cannot be written ({reason}); mend that and call again, what is done is kept.")


class _Making:
    """The folder of a kit while its objects are made."""

    def __init__(self, out: Path, name: str, anew: bool) -> None:
        self.out, self.name = out, name
        self._kit_is_there = (out / INDEX).is_file()
        if not self._kit_is_there and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise KitError(f"out: {out} holds something that is no kit; give an empty or new folder with --out.")
        old = read_index(out).objects if self._kit_is_there and not anew else ()
        self.objects = {thing.source: thing for thing in old}
        self._only_whole = anew and self._kit_is_there
        self._saved = 0.0

    def begin(self) -> None:
        """A folder that tells from the start what it is."""
        self.out.mkdir(parents=True, exist_ok=True)
        if not self._kit_is_there:
            self._save()

    def replace(self, subject: Subject, things: Sequence[KitObject]) -> None:
        """The objects of a file in place of those that it had."""
        old = [source for source in self.objects if subject.owns(source)]
        for source in old:
            del self.objects[source]
        self.objects |= {thing.source: thing for thing in things}
        if not self._only_whole and time.monotonic() > self._saved + SAVE_EVERY:
            self._save()

    def stop(self) -> None:
        """What is done is a kit, unless it was to take the place of another one."""
        if self._kit_is_there and not self._only_whole and self.objects:
            self._save()

    def finish(self) -> None:
        """The kit is whole: atlases that it does not name are taken away."""
        if not self.objects:
            raise KitError("FILES: none of the files could be read, so there is no kit; see the notes.")
        self._only_whole = False
        self._save()
        named = {thing.file for thing in self.objects.values()}
        for file in self.out.glob("*.webp"):
            if file.name not in named:
                file.unlink()

    def _save(self) -> None:
        write_index(new_index(self.name, self.objects.values()), self.out)
        self._kit_is_there, self._saved = True, time.monotonic()


def _objects(files: Sequence[Subject], making: _Making, camera: Camera) -> Iterator[Event]:
    """An event for each object, and one for each that cannot be read."""
    for done, subject in enumerate(files, 1):
        try:
            digest, parts = subject.digest(), subject.parts()
        except UserError as error:
            yield LeftOut(done, len(files), subject.name, reason(error))
            continue
        things: list[KitObject] = []
        for node, load in parts.items():
            name = subject.name_of(node)
            try:
                file, kept, notes = _atlas(making.out, f"{digest} {node}", load, camera)
            except UserError as error:
                yield LeftOut(done, len(files), name, reason(error))
                continue
            things.append(_told(subject, node, making.out / file))
            making.replace(subject, things)
            yield Photographed(done, len(files), name, kept, notes)


def _atlas(out: Path, made_from: str, load: Callable[[], Surface], camera: Camera) -> tuple[str, bool, tuple[str, ...]]:
    """The file of an object's atlas, whether it was there already, and what could not be read of its colours.

    UserError where there is nothing to be seen.
    """
    file = f"{hashlib.sha256(f'{made_from} {camera.quality} {LOOK}'.encode()).hexdigest()[:16]}.webp"
    if (out / file).is_file():
        with suppress(KitError):  # damaged: photographed again
            read_atlas(out / file)
            return file, True, ()
    surface = load()
    views = photograph(surface, camera.device)
    with replacing(out / file) as half:
        write_atlas(views, half, camera.quality)
    return file, False, surface.notes


def _told(subject: Subject, node: str, file: Path) -> KitObject:
    """What is known of an object whose atlas is written."""
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
    """The sentence, which surfaces begin with the name of the job's field."""
    return str(error).removeprefix("init_mesh: ")
