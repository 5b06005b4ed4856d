"""The Pythons of this machine.  Runs in any Python 3, since build.py looks here for a better one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The first is the best: Blender 4.2 to 5.0 is a package for it.  Blender 5.1 is one for 3.13, and none is for 3.12.
SUPPORTED = ((3, 11), (3, 13), (3, 12))


def python_to_use() -> list[str] | None:
    """The command of the best Python there is; sys.executable alone where that is this one; None: there is none."""
    best, *others = SUPPORTED
    this = sys.version_info[:2]
    if this == best:
        return [sys.executable]
    return python_of(best) or ([sys.executable] if this in others else next(filter(None, map(python_of, others)), None))


def python_of(version: tuple[int, int]) -> list[str] | None:
    """The command that starts this version, by its name on PATH or in pyenv's folder, if there is one."""
    name = "{}.{}".format(*version)
    if os.name == "nt":
        commands = [["py", f"-{name}"]]
    else:
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
        files = sorted(pyenv.glob(f"versions/{name}.*/bin/python{name}"))
        commands = [[f"python{name}"], *([str(file)] for file in files)]
    return next((command for command in commands if _starts(command, version)), None)


def _starts(command: list[str], version: tuple[int, int]) -> bool:
    """A version manager's python3.11 may be there and start nothing."""
    if shutil.which(command[0]) is None:
        return False
    asked = [*command, "-c", f"import sys; sys.exit(sys.version_info[:2] != {tuple(version)})"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0
