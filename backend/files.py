"""Safe writing, so that a file is either the old one or the new one, whole; and where the user's data are."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from platformdirs import user_data_path

from backend.errors import UserError

LONGEST = 40  # characters of a text in a file's name


class ExportError(UserError):
    """A file that cannot be written, or that is not what it should be; one sentence for the user."""


def data_folder() -> Path:
    """The folder for a program's user data on this system."""
    return user_data_path("splatsmith" if sys.platform == "linux" else "Splatsmith", appauthor=False)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` at the end, or vanishes if the body raises.

    The temporary name keeps the suffix, for writers that choose their format by it.

    Raises:
        OSError: unchanged, when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        # Without the sync a power cut may leave the new name with the new length and no content.
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def slug(text: str, gap: str = "-") -> str:
    """A prompt as part of a file name; one that is long or has other characters gets a digest, so no two share a name.

    `gap` stands between the words.  Plain prompts have no underscores in a row, so none of them looks like another
    prompt with its digest.
    """
    if len(text) <= LONGEST and re.fullmatch("[a-z0-9]+( [a-z0-9]+)*", text):
        return text.replace(" ", gap)
    return digested(text, gap)


def digested(text: str, gap: str = "-") -> str:
    """The first words of a text and its digest."""
    words = re.sub("[^a-z0-9]+", gap, text.lower()[:LONGEST]).strip(gap)
    return f"{words}__{sha256(text.encode()).hexdigest()[:16]}"
