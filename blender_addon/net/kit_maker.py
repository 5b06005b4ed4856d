"""Makes a kit, from the button to the report, in small steps that the timer calls; no bpy.

    exporting -> photographing -> done
              \\              \\-> stopping -> stopped         by Cancel
               \\-> failed      \\-> failed                    with a sentence

Photographs stay in the kit's folder, and making the same kit again continues from them.  The exported objects are in a
temporary folder, which is removed at the end.
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

from .command_process import CommandProcess
from .launcher import LauncherError

NAME_LIMIT = 60  # letters of a file's name
INDEX = "kit.json"
ILLEGAL = re.compile(r'[\x00-\x1f<>:"/\\|?*]')

KitState = Literal["exporting", "photographing", "stopping", "done", "stopped", "failed"]


class ExportError(ValueError):
    """An object that cannot be exported; the text completes a sentence that begins with its name."""


class HasName(Protocol):
    """Anything with a name: nothing else about a source matters here."""

    @property
    def name(self) -> str:
        """The name that the artist sees."""


T = TypeVar("T", bound=HasName)


@dataclass(frozen=True)
class KitRequest:
    """What the artist asked for: a kit of that name in the folder `kits`, made by the backend in `repository`.

    `parts` is the temporary folder for exported objects; it is emptied first.  With `add` the kit keeps what it has.
    """

    name: str
    kits: Path
    repository: Path
    parts: Path
    add: bool = False


@dataclass
class KitMaker(Generic[T]):
    """One kit in the making; `export` writes a source into a file and returns notes on it, or raises ExportError."""

    request: KitRequest
    sources: Sequence[T]
    export: Callable[[T, Path], list[str]]
    state: KitState = "exporting"
    text: str = ""  # how it ended, in a sentence
    detail: str = ""
    done: int = 0  # how many sources the present state has dealt with
    total: int = 0
    objects: int = 0  # in the kit, when it is done
    folder: str = ""  # of the kit, when it is done
    left_out: list[str] = field(default_factory=list)  # sentences
    notes: list[str] = field(default_factory=list)
    _process: CommandProcess | None = None
    _exported: dict[str, str] = field(default_factory=dict)  # the source's name by the file's

    def __post_init__(self) -> None:
        self.total = len(self.sources)
        shutil.rmtree(self.request.parts, ignore_errors=True)

    @property
    def ended(self) -> bool:
        """Whether the kit is done, stopped or failed."""
        return self.state in ("done", "stopped", "failed")

    def step(self) -> bool:
        """Do one step.  Returns whether something changed."""
        if self.state == "exporting":
            self._export_next()
            return True
        return not self.ended and self._listen()

    def cancel(self) -> None:
        """Stop after the object under way; the finished ones are kept."""
        if self.state == "exporting":
            self._end("stopped", "Cancelled before anything was photographed.")
        elif self._process is not None and self.state == "photographing":
            self.state = "stopping"
            self._process.stop()

    def report(self) -> str:
        """How it ended, what was left out, and all notes: one line each."""
        return "\n".join(filter(None, [self.text, *self.left_out, *self.notes, self.detail]))

    def _export_next(self) -> None:
        try:
            if self.done < self.total:
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
        command = ["kit", str(request.parts / "objects"), "--out", str(out), "--name", request.name, "--json"]
        command += [] if request.add else ["--overwrite"]
        try:
            self._process = CommandProcess(request.repository, command, request.parts)
        except LauncherError as error:
            self._end("failed", str(error))
            return
        self.state, self.done, self.total = "photographing", 0, len(self._exported)

    def _listen(self) -> bool:
        """Take the events of the process.  Returns whether something changed."""
        assert self._process is not None
        code = self._process.exit_code  # asked before the events are read, so that the last ones are not missed
        events = [json.loads(line) for line in self._process.lines()]
        for event in events:
            self._take(event)
        if code is not None:
            self._ended(code, self._process.last_lines())
        return bool(events) or code is not None

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "object":
                self.done, self.total = event["done"], event["of"]
                self.notes += [f"{event['name']}: {self._with_source_names(note)}" for note in event.get("notes", [])]
            case "note":
                self.done, self.total = event["done"], event["of"]
                self.left_out.append(f"{event['name']} is left out: {self._with_source_names(event['text'])}")
            case "done":
                self.objects, self.folder = event["objects"], event["folder"]

    def _with_source_names(self, text: str) -> str:
        """A sentence of the process with the source's name in place of the file's."""
        for file, name in self._exported.items():
            text = text.replace((self.request.parts / "objects" / file).as_posix(), name)
        return text

    def _ended(self, code: int, last_lines: list[str]) -> None:
        if self.folder:
            objects = "1 object" if self.objects == 1 else f"{self.objects:,} objects"
            self._end("done", f"The kit {self.request.name} holds {objects}.")
        elif self.state == "stopping":
            self._end("stopped", f"Stopped after {self.done} of {self.total}: make the same kit again to go on.")
        else:
            sentence = last_lines[-1] if last_lines and code == 2 else f"The kit's process ended with code {code}."
            self._end("failed", sentence, "" if code == 2 else "\n".join(last_lines))

    def _end(self, state: KitState, text: str, detail: str = "") -> None:
        self.state, self.text, self.detail = state, text, detail
        shutil.rmtree(self.request.parts, ignore_errors=True)


def file_name(name: str) -> str:
    """A file name for a source, valid on every system.  The digits keep similar names apart; the kit ignores them."""
    return f"{ILLEGAL.sub(' ', name)[:NAME_LIMIT].strip(' .')} {zlib.crc32(name.encode(errors='replace'))}"


def kit_folder(kits: Path, name: str) -> Path:
    """The folder of the kit of that name, or a free one for it."""
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
        index_content = json.loads(index.read_bytes())
    except (OSError, ValueError):
        return None  # damaged, or being removed just now
    return index_content.get("name") if isinstance(index_content, dict) else None
