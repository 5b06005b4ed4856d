"""Start and stop the local backend as a process of its own, with its output in a log.  No bpy.

The backend runs under `guard.py`, which ends it when the pipe to Blender closes.  So nothing is left running however
Blender ends, and Blender does not have to wait for the backend's end.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import IO, Literal

from ..shared.address import Address

GUARD = Path(__file__).with_name("guard.py")
TAIL_BYTES = 4096
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # without it Windows opens a console for each process
ANSWERS_WITHIN = 0.2  # seconds; a port of this computer answers in less than one millisecond

ProcessState = Literal["running", "stopping", "ended"]


class LauncherError(Exception):
    """A backend that cannot be started: one sentence that says what to do."""


class BackendProcess:
    """One backend process; `folder` is the Splatsmith repository.  Unless it may go `online`, it downloads no models.

    Raises:
        LauncherError: the address is of another computer or taken, there is no backend in the folder, or it does not
            start.
    """

    def __init__(self, folder: Path, log: Path, address: Address, online: bool = True) -> None:
        if not address.loopback:
            raise LauncherError(f"{address.host} is another computer: start the backend there.")
        command = backend_command(folder, address.port)
        if port_answers(address):
            raise LauncherError(
                f"Port {address.port} is taken by another program: stop it, or set another port in the preferences."
            )
        self.log, self._stopping = log, False
        try:
            with log.open("wb") as output:
                self._process = start_guarded(command, folder, output, subprocess.STDOUT, online)
        except OSError as error:
            raise LauncherError(f"The backend in {folder} cannot be started ({error.strerror}).") from error

    @property
    def state(self) -> ProcessState:
        """Whether the process runs, has been asked to end, or has ended."""
        if self._process.poll() is not None:
            return "ended"
        return "stopping" if self._stopping else "running"

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask the backend to end, through the guard; returns at once."""
        self._stopping = True
        ask_to_end(self._process)

    def tail(self, lines: int = 8) -> list[str]:
        """The last lines of its log."""
        return log_tail(self.log, lines)


def start_guarded(
    command: list[str], folder: Path, stdout: IO[bytes], stderr: IO[bytes] | int, online: bool = True
) -> subprocess.Popen[bytes]:
    """Start a program of the backend under the guard, which ends it when Blender ends or `ask_to_end` is called."""
    return subprocess.Popen(
        [command[0], str(GUARD), *command],
        cwd=folder,
        env=_environment(online),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C in the terminal of Blender is not for the backend
        creationflags=NO_WINDOW,
    )


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Have the guard end its program, gently at first."""
    if process.stdin is not None:
        process.stdin.close()


def backend_python(folder: Path) -> Path | None:
    """The Python of the backend's environment in the repository, once it is set up.

    LauncherError where there is no backend in the folder.
    """
    if not (folder / "backend" / "__main__.py").is_file():
        raise LauncherError(
            f"There is no backend in {folder}: choose the folder of the repository in the add-on's preferences."
        )
    python = folder / (".venv/Scripts/python.exe" if os.name == "nt" else ".venv/bin/python")
    return python if python.exists() else None


def backend_command(folder: Path, port: int) -> list[str]:
    """The command that starts the backend, with the Python of its own environment if there is one, else `build.py`.

    LauncherError if there is neither a backend nor a Python.
    """
    python, serve = backend_python(folder), ["serve", "--port", str(port)]
    if python is not None:
        return [str(python), "-m", "backend", *serve]
    found = next(filter(None, map(shutil.which, ("python3.11", "python3", "python", "py"))), None)
    if found is None:
        raise LauncherError("Python 3.11 is not installed: install it, then start the backend again.")
    return [found, str(folder / "build.py"), *serve]


def port_answers(address: Address) -> bool:
    """Whether some program listens there."""
    try:
        with socket.create_connection((address.host, address.port), ANSWERS_WITHIN):
            return True
    except OSError:
        return False


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines of a file that may be growing; none if there is no such file."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            return file.read().decode("utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def _environment(online: bool) -> dict[str, str]:
    """Our environment variables without those of Blender's Python; output reaches the log at once."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**plain, "PYTHONUNBUFFERED": "1", **({} if online else {"HF_HUB_OFFLINE": "1"})}
