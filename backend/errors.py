"""The one kind of error that users read, and sentences for the errors of the operating system."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# The file name of these is not one of our files.
NETWORK_ERRORS = (ConnectionError, TimeoutError, socket.gaierror, socket.herror)


class UserError(ValueError):
    """Something the user can mend: one sentence that names the field or file and says what to do."""


def sentence_of(error: OSError, where: str | Path | None = None) -> str:
    """One sentence for an error of the system: its file, or else `where` we were writing, and its reason."""
    lines = str(error.strerror or error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    if isinstance(error, NETWORK_ERRORS):
        return f"The network cannot be used ({reason}): try again, or work with files that are on this machine."
    place = error.filename if isinstance(error.filename, str) else None
    if error.errno in DISK_FULL:
        folder = where or (Path(place).parent if place else None)
        return f"{folder or 'out'}: the disk is full ({reason}): free some space and try again."
    if place is None and error.errno is None:
        return f"{reason}."  # raised by a library, whose text says what it is about
    return f"{place or where or 'out'}: cannot be written or read ({reason})."


def reason(error: Exception) -> str:
    """The first sentence of a library's message, to be quoted in one of ours."""
    message = " ".join(str(error).split()) or type(error).__name__
    return message.split(". ")[0].rstrip(".:")
