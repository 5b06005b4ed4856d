"""Messages for the user on stderr, one sentence a line, and Ctrl-C."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

BESIDE = Path(__file__).resolve().parents[1]  # the repository's root, or site-packages
# Where we run from the repository, its root: only there is the add-on beside us.  None where pip installed us.
CHECKOUT = BESIDE if (BESIDE / "blender_addon").is_dir() else None
COMMAND = "splatsmith"  # what pip makes; pyproject.toml has its name too
LINE_SECONDS = 10.0  # between two plain lines of progress, where there is no terminal to draw a bar in
STOPPED = 130  # exit code after Ctrl-C
UNQUOTED = re.compile(r"[\w./:\\+=@,-]+", re.ASCII)  # needs no quotes in cmd and PowerShell

# No markup: "[bold]" may be a folder.  No emoji codes: ":gear:" may be part of a prompt.
console = Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str, mark: str = "", style: str = "yellow") -> None:
    """Print one line, not wrapped, with `mark` in colour before it."""
    console.print(Text.assemble((f"{mark} ", style), text) if mark else Text(text), soft_wrap=True)


def note(text: str) -> None:
    """Something the user should know; the work goes on."""
    say(text, "Note:")


def skipped(text: str) -> None:
    """Something that is skipped; the work goes on without it."""
    say(text, "Skipped:")


def pasteable(words: Sequence[str], windows: bool = os.name == "nt") -> str:
    """A command line to paste: for a POSIX shell, or for cmd and PowerShell."""
    return " ".join(_for_windows(word) for word in words) if windows else shlex.join(words)


def own_command(arguments: Sequence[str], windows: bool = os.name == "nt") -> str:
    """The backend's command line with these arguments, run by the current Python, or the command that pip installed."""
    return pasteable([*(_python(windows) if CHECKOUT else _installed(windows)), *arguments], windows)


def with_command(arguments: Sequence[str]) -> str:
    """The end of a sentence: " with: " and our command; before it the folder to run it in, if not the current one."""
    elsewhere = CHECKOUT and Path.cwd() != CHECKOUT
    return f"{f', in {CHECKOUT},' if elsewhere else ''} with: {own_command(arguments)}"


def _python(windows: bool) -> list[str]:
    python = sys.executable
    # PowerShell needs an & before a quoted program, and cmd does not take one.
    if not python or (windows and not UNQUOTED.fullmatch(python)):
        python = "python"
    return [python, "-m", "backend"]


def _installed(windows: bool) -> list[str]:
    """The name alone where the shell finds this environment's command by it, else its path."""
    found = shutil.which(COMMAND)
    scripts = sysconfig.get_path("scripts")
    if found and Path(found).resolve().parent == Path(scripts).resolve():
        return [COMMAND]
    path = shutil.which(COMMAND, path=scripts)
    return [path] if path and (not windows or UNQUOTED.fullmatch(path)) else _python(windows)


def _for_windows(word: str) -> str:
    """In double quotes, which both shells know, with backslashes before them as the C runtime reads them."""
    if UNQUOTED.fullmatch(word):
        return word
    quoted = subprocess.list2cmdline([word])
    return quoted if quoted.startswith('"') else f'"{quoted}"'


@contextmanager
def stop_key() -> Iterator[list[float]]:
    """Yields a list that is no longer empty after Ctrl-C or SIGTERM; the second time raises KeyboardInterrupt."""
    pressed: list[float] = []

    def press(_number: int, _frame: FrameType | None) -> None:
        pressed.append(time.monotonic())
        if len(pressed) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
