"""What a command tells its user on stderr, a line a sentence, and what it does at Ctrl-C."""

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
STOPPED = 130  # the exit code of who was asked to stop, and did
HARMLESS = re.compile(r"[\w./:\\+=@,-]+", re.ASCII)  # to cmd and PowerShell

# Markup is off: "[bold]" may be a folder.  So are emoji codes: ":gear:" may be a part of a prompt.
console = Console(stderr=True, highlight=False, markup=False, emoji=False)


def tell(text: str, mark: str = "", style: str = "yellow") -> None:
    """One line, not broken; `mark` stands before it in colour."""
    console.print(Text.assemble((f"{mark} ", style), text) if mark else Text(text), soft_wrap=True)


def note(text: str) -> None:
    """What the user should know; the work goes on."""
    tell(text, "Note:")


def left_out(text: str) -> None:
    """What the work goes on without."""
    tell(text, "Left out:")


def pasteable(words: Sequence[str], windows: bool = os.name == "nt") -> str:
    """A command as one types it: for a POSIX shell, or for cmd and PowerShell."""
    return " ".join(_for_windows(word) for word in words) if windows else shlex.join(words)


def ours(arguments: Sequence[str], windows: bool = os.name == "nt") -> str:
    """Our own command line with these arguments: by the Python that runs now, or the command that pip installed."""
    return pasteable([*(_python(windows) if CHECKOUT else _installed(windows)), *arguments], windows)


def by(arguments: Sequence[str]) -> str:
    """The end of a sentence: " with: " and our command, and before them where to call it, if that is not here."""
    elsewhere = CHECKOUT and Path.cwd() != CHECKOUT
    return f"{f', in {CHECKOUT},' if elsewhere else ''} with: {ours(arguments)}"


def _python(windows: bool) -> list[str]:
    python = sys.executable
    # Before a program in quotes PowerShell wants an &, and cmd wants none.
    if not python or (windows and not HARMLESS.fullmatch(python)):
        python = "python"
    return [python, "-m", "backend"]


def _installed(windows: bool) -> list[str]:
    """The name alone where the shell finds this environment's command by it, else its path."""
    found = shutil.which(COMMAND)
    scripts = sysconfig.get_path("scripts")
    if found and Path(found).resolve().parent == Path(scripts).resolve():
        return [COMMAND]
    path = shutil.which(COMMAND, path=scripts)
    return [path] if path and (not windows or HARMLESS.fullmatch(path)) else _python(windows)


def _for_windows(word: str) -> str:
    """In double quotes, which both know; as the C runtime reads backslashes before them."""
    if HARMLESS.fullmatch(word):
        return word
    quoted = subprocess.list2cmdline([word])
    return quoted if quoted.startswith('"') else f'"{quoted}"'


@contextmanager
def stop_key() -> Iterator[list[float]]:
    """A list that is filled when a stop is asked for.  Asked once more, KeyboardInterrupt."""
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
