"""What a command tells its user on stderr: as it is, whatever brackets and colons are in it, a line a sentence."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
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
    """Our own command line with these arguments, by the Python that runs now."""
    python = sys.executable
    # Before a program in quotes PowerShell wants an &, and cmd wants none.
    if not python or (windows and not HARMLESS.fullmatch(python)):
        python = "python"
    return pasteable([python, "-m", "backend", *arguments], windows)


def by(arguments: Sequence[str]) -> str:
    """The end of a sentence: " with: " and our command, and before them where to call it, if that is not here."""
    return f"{'' if Path.cwd() == ROOT else f', in {ROOT},'} with: {ours(arguments)}"


def _for_windows(word: str) -> str:
    """In double quotes, which both know; as the C runtime reads backslashes before them."""
    if HARMLESS.fullmatch(word):
        return word
    quoted = subprocess.list2cmdline([word])
    return quoted if quoted.startswith('"') else f'"{quoted}"'
