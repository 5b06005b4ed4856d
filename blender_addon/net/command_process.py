"""A command of the backend as a process of its own: what it prints, how it ended, and how it is stopped.  No bpy.

It writes one line of JSON for each event into a file, which we read as it grows.  Its stderr goes to another file: the
last line is the reason of a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .launcher import LauncherError, ask_to_end, backend_python, log_tail, start_guarded

EVENTS, STDERR = "events", "stderr"  # the names of these files
DETAIL_LINES = 20


class CommandProcess:
    """`python -m backend ARGUMENTS`, by the environment in the repository; its output goes into the folder.

    Raises:
        LauncherError: the backend is not there or not set up, or does not start.
    """

    def __init__(self, repository: Path, arguments: Sequence[str], folder: Path) -> None:
        python = backend_python(repository)
        if python is None:
            raise LauncherError(f"The backend in {repository} is not set up: start it once, then try again.")
        command = [str(python), "-m", "backend", *arguments]
        self._folder, self._read = folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / EVENTS).open("wb") as events, (folder / STDERR).open("wb") as stderr:
                self._process = start_guarded(command, repository, events, stderr)
        except OSError as error:
            raise LauncherError(f"The backend in {repository} cannot be run ({error.strerror}).") from error

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        ask_to_end(self._process)

    def lines(self) -> list[bytes]:
        """The lines of JSON since the last call; one that is still being written waits for the next."""
        with (self._folder / EVENTS).open("rb") as file:
            file.seek(self._read)
            lines = file.read().rpartition(b"\n")[0]
        self._read += len(lines) + 1 if lines else 0
        return [line for line in lines.splitlines() if line.startswith(b"{")]

    def last_lines(self) -> list[str]:
        """The last lines of its stderr."""
        return log_tail(self._folder / STDERR, DETAIL_LINES)
