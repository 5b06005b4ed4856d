"""`python -m backend kit` as a process of its own: what it has done, how it ended, and how it is stopped.  No bpy.

It writes one line of JSON for each event into a file, which we read as it grows.  Its stderr goes to another file: the
last line is the reason of a failure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .launcher import LauncherError, ask_to_end, backend_python, log_tail, start_guarded

EVENTS, STDERR = "events", "stderr"  # the names of these files; they lie beside the exported objects
DETAIL_LINES = 20


class KitProcess:
    """Photographs every mesh of a folder into a kit.

    Raises:
        LauncherError: the backend is not there or not set up, or does not start.
    """

    def __init__(self, repository: Path, parts: Path, out: Path, name: str, add: bool) -> None:
        python = backend_python(repository)
        if python is None:
            raise LauncherError(f"The backend in {repository} is not set up: start it once, then make the kit.")
        command = [str(python), "-m", "backend", "kit", str(parts), "--out", str(out), "--name", name, "--json"]
        command += [] if add else ["--overwrite"]
        self._folder, self._read = parts.parent, 0
        try:
            with (self._folder / EVENTS).open("wb") as events, (self._folder / STDERR).open("wb") as stderr:
                self._process = start_guarded(command, repository, events, stderr)
        except OSError as error:
            raise LauncherError(f"The kit cannot be made by {repository} ({error.strerror}).") from error

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to end after the object under way; returns at once."""
        ask_to_end(self._process)

    def events(self) -> list[dict[str, Any]]:
        """The events since the last call; a line that is still being written waits for the next."""
        with (self._folder / EVENTS).open("rb") as file:
            file.seek(self._read)
            lines = file.read().rpartition(b"\n")[0]
        self._read += len(lines) + 1 if lines else 0
        return [json.loads(line) for line in lines.splitlines() if line.startswith(b"{")]

    def last_lines(self) -> list[str]:
        """The last lines of its stderr."""
        return log_tail(self._folder / STDERR, DETAIL_LINES)
