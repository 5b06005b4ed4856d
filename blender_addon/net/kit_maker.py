"""Making a kit, from the button to the report, in small steps that a timer calls; no bpy.

    exporting -> photographing -> done
              \\              \\-> stopping -> stopped         by Cancel
               \\-> failed      \\-> failed                    with a sentence

What was photographed stays in the kit's folder: the same kit asked for again takes it up.  The files between are in a
folder of their own, which is gone at the end.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from .kit_process import KitProcess
from .launcher import LauncherError

NAME_LIMIT = 60  # letters of a file's name
INDEX = "kit.json"
ILLEGAL = re.compile(r'[\x00-\x1f<>:"/\\|?*]')

KitState = Literal["exporting", "photographing", "stopping", "done", "stopped", "failed"]


class ExportError(ValueError):
    """A source that cannot be exported: the rest of a sentence that begins with its name."""


class HasName(Protocol):
    """A source, of which only the name is of interest here."""

    @property
    def name(self) -> str:
        """What people call it."""


T = TypeVar("T", bound=HasName)


@dataclass(frozen=True)
class KitRequest:
    """What is wanted: a kit of that name in the folder `kits`, made by the backend in `repository`.

    `parts` is the folder for what lies between, which is emptied.  With `add` the kit keeps what it has.
    """

    name: str
    kits: Path
    repository: Path
    parts: Path
    add: bool = False


@dataclass
class KitMaker(Generic[T]):
    """One kit in the making; `export` writes a source into a file and gives notes on it, or raises ExportError."""

    request: KitRequest
    sources: Sequence[T]
    export: Callable[[T, Path], list[str]]
    state: KitState = "exporting"
    text: str = ""  # how it ended, in a sentence
    detail: str = ""
    done: int = 0  # things that the present state has seen
    of: int = 0
    objects: int = 0  # in the kit, when it is done
    folder: str = ""  # of the kit, when it is done
    left_out: list[str] = field(default_factory=list)  # sentences
    notes: list[str] = field(default_factory=list)
    _process: KitProcess | None = None
    _exported: dict[str, str] = field(default_factory=dict)  # the name of the source in a file

    def __post_init__(self) -> None:
        self.of = len(self.sources)
        shutil.rmtree(self.request.parts, ignore_errors=True)

    @property
    def ended(self) -> bool:
        """Whether nothing goes on."""
        return self.state in ("done", "stopped", "failed")

    def step(self) -> bool:
        """One step; whether something is new."""
        if self.state == "exporting":
            self._export_next()
            return True
        return not self.ended and self._listen()

    def cancel(self) -> None:
        """Stop after what is under way; what is done is kept."""
        if self.state == "exporting":
            self._end("stopped", "Cancelled before anything was photographed.")
        elif self._process is not None and self.state == "photographing":
            self.state = "stopping"
            self._process.stop()

    def report(self) -> str:
        """Everything that there is to say, a line each."""
        return "\n".join(filter(None, [self.text, *self.left_out, *self.notes, self.detail]))

    def _export_next(self) -> None:
        try:
            if self.done < self.of:
                source, self.done = self.sources[self.done], self.done + 1
                self._export(source)
            else:
                self._photograph()
        except OSError as error:
            self._end("failed", f"{self.request.parts} cannot be written ({error.strerror}): make room on the disk.")

    def _export(self, source: T) -> None:
        folder = self.request.parts / "objects"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{file_name(source.name)}.glb"
        number = 1
        while file.name in self._exported:
            number += 1
            file = folder / f"{file_name(source.name)} {number}.glb"
        try:
            self.notes += [f"{source.name}: {note}" for note in self.export(source, file)]
            self._exported[file.name] = source.name
        except ExportError as error:
            self.left_out.append(f"{source.name} is left out: {error}")

    def _photograph(self) -> None:
        if not self._exported:
            self._end("failed", "None of the objects could be exported, so there is no kit.")
            return
        request, out = self.request, kit_folder(self.request.kits, self.request.name)
        try:
            self._process = KitProcess(request.repository, request.parts / "objects", out, request.name, request.add)
        except LauncherError as error:
            self._end("failed", str(error))
            return
        self.state, self.done, self.of = "photographing", 0, len(self._exported)

    def _listen(self) -> bool:
        """Take what the process has told; whether that was anything."""
        assert self._process is not None
        code = self._process.exit_code  # before the events, so that the last ones are seen
        events = self._process.events()
        for event in events:
            self._take(event)
        if code is not None:
            self._ended(code, self._process.said())
        return bool(events) or code is not None

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "object":
                self.done, self.of = event["done"], event["of"]
                self.notes += [f"{event['name']}: {self._plainly(note)}" for note in event.get("notes", [])]
            case "note":
                self.done, self.of = event["done"], event["of"]
                self.left_out.append(f"{event['name']} is left out: {self._plainly(event['text'])}")
            case "done":
                self.objects, self.folder = event["objects"], event["folder"]

    def _plainly(self, text: str) -> str:
        """A sentence about a file as one about the source in it."""
        for file, name in self._exported.items():
            text = text.replace((self.request.parts / "objects" / file).as_posix(), name)
        return text

    def _ended(self, code: int, said: list[str]) -> None:
        if self.folder:
            objects = "1 object" if self.objects == 1 else f"{self.objects:,} objects"
            self._end("done", f"The kit {self.request.name} holds {objects}.")
        elif self.state == "stopping":
            self._end("stopped", f"Stopped after {self.done} of {self.of}: make the same kit again to go on.")
        else:
            sentence = said[-1] if said and code == 2 else f"The kit's process ended with code {code}."
            self._end("failed", sentence, "" if code == 2 else "\n".join(said))

    def _end(self, state: KitState, text: str, detail: str = "") -> None:
        self.state, self.text, self.detail = state, text, detail
        shutil.rmtree(self.request.parts, ignore_errors=True)


def file_name(name: str) -> str:
    """A thing's name as a file's, on every system; the digits keep apart what looks alike, and are read as no word."""
    return f"{ILLEGAL.sub(' ', name)[:NAME_LIMIT].strip(' .')} {zlib.crc32(name.encode(errors='replace'))}"


def kit_folder(kits: Path, name: str) -> Path:
    """Where the kit of that name is, or will be."""
    for index in sorted(kits.glob(f"*/{INDEX}")):
        if _name_in(index) == name:
            return index.parent
    words = re.sub(r"[^\w]+", "-", name.lower()).strip("-") or "kit"
    number, folder = 1, kits / words
    while folder.exists():
        number += 1
        folder = kits / f"{words}-{number}"
    return folder


def _name_in(index: Path) -> str | None:
    try:
        told = json.loads(index.read_bytes())
    except (OSError, ValueError):
        return None  # damaged, or just being removed: not the one
    return told.get("name") if isinstance(told, dict) else None
