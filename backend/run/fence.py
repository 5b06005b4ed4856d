"""The fence around a job's folder: one process writes there, the one that came last.

`writer.json` holds the token of that process.  A process that was frozen, by its machine's sleep or a stalled network
drive, and thaws after another has taken over finds another token there and must not write any more.

A check before a write leaves a moment between the two in which the process may freeze.  So the order is: make a
temporary file (or open the log), check the token, rename (or write).  Whoever takes over writes its token first, then
removes all temporary files and puts a copy in the place of the log: what was made before has nothing left to rename,
or writes into a log that nobody sees; what is made later fails the check.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from backend.errors import UserError
from backend.files import replacing

WRITER = "writer.json"
INNER = "particle-*"  # the folders within
TEMPORARY = re.compile(r"\.+(\w+)(?:-[0-9a-f]{8})+(\.\w+)")  # the names that `replacing` makes


class TakenOverError(UserError):
    """Another process works on this job by now; one sentence."""


class Writer(msgspec.Struct, frozen=True):
    """What writer.json says: a random token, and for people who writes since when."""

    token: str
    machine: str = ""
    process: int = 0
    since: float = 0.0  # seconds since 1970


class Fence:
    """One process's right to write into a folder, from `take` on.

    A folder within another one's has no token of its own: who may write into the outer one may write there.
    """

    def __init__(self, folder: Path, outer: Fence | None = None) -> None:
        self.folder, self.token, self.outer = folder, "", outer
        self._before = self._holder()

    def take(self, files: Collection[str], log: str) -> None:
        """Take over from any process that was there before this object was made; again, it checks.

        `files` are those that the process may write, and to `log` among them it appends.  TakenOverError where another
        one has come since.
        """
        if self.token or self._holder() != self._before:
            self.check()
            return
        token = secrets.token_hex(16)
        writer = Writer(token, socket.gethostname(), os.getpid(), round(time.time(), 3))
        with replacing(self.folder / WRITER) as file:
            file.write_bytes(msgspec.json.encode(writer) + b"\n")
        self.token = token
        for path in (*self.folder.iterdir(), *self.folder.glob(f"{INNER}/*")):
            made = TEMPORARY.fullmatch(path.name)
            if made and made[1] + made[2] in files:
                path.unlink(missing_ok=True)
        if (self.folder / log).is_file():
            _copy_whole_lines(self.folder / log)

    def check(self) -> None:
        """TakenOverError where another process has taken over."""
        if self.outer is not None:
            self.outer.check()
        elif self._holder() != (self.token or self._before):
            raise TakenOverError(
                f"{self.folder}: another process has taken over this job, so this one stops and writes nothing more."
            )

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """As `files.replacing`, for a file of the folder; TakenOverError in place of the last step."""
        self.check()
        try:
            with replacing(self.folder / name) as file:
                yield file
                self.check()
        except FileNotFoundError:
            self.check()  # whoever takes over removes temporary files
            raise

    def append(self, name: str, line: str) -> None:
        """Add a line to a log."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            self.check()
            file.write(line + "\n")

    def remove(self, *names: str) -> None:
        """Remove files of the folder, as far as they are there."""
        for name in names:
            self.check()
            (self.folder / name).unlink(missing_ok=True)

    def _holder(self) -> str:
        try:
            return msgspec.json.decode((self.folder / WRITER).read_bytes(), type=Writer).token
        except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
            return ""


def _copy_whole_lines(log: Path) -> None:
    """Put a copy in the place of a log, without a last line that is only half there."""
    lines = log.read_bytes().splitlines(keepends=True)
    with replacing(log) as file:
        file.write_bytes(b"".join(line for line in lines if _is_json(line)))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
