"""One line of the doctor's report, and how it asks an environment."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.environments import Environment

SET_UP = "python build.py setup"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` says what to do where something is amiss."""

    name: str
    state: str
    mend: str = ""


def printed_in(environment: Environment, program: str, *arguments: str, packages: Path | None = None) -> str:
    """What a line of Python prints in an environment, with the packages of a folder in reach; nothing if it fails."""
    command = [str(environment.python), "-P", "-c", program, *arguments]
    more = {"PYTHONPATH": str(packages)} if packages else {}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **more}
        ).stdout.strip()
    except OSError:
        return ""
