"""The one kind of error that a user reads, and what is said of those that the system makes."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
# The path of these is no file of ours.
NETWORK = (ConnectionError, TimeoutError, socket.gaierror, socket.herror)


class UserError(ValueError):
    """Something the user can mend: one sentence that names the field or file and says what to do."""


def said_of(error: OSError, where: str | Path | None = None) -> str:
    """One sentence on an error of the system: its own file, or else `where` we were writing, and its own reason."""
    lines = str(error.strerror or error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    if isinstance(error, NETWORK):
        return f"The network cannot be used ({reason}): try again, or work with files that are on this machine."
    place = error.filename if isinstance(error.filename, str) else None
    if error.errno in FULL:
        folder = where or (Path(place).parent if place else None)
        return f"{folder or 'out'}: the disk is full ({reason}): make room on it and try again."
    if place is None and error.errno is None:
        return f"{reason}."  # a library's own; it says itself what it is about
    return f"{place or where or 'out'}: cannot be written or read ({reason})."
