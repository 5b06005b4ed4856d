"""The locks: every package of an environment, with the hashes of its files for every platform.  No host is named.

torch, and what only torch brings, is in no lock: a machine may have a build of its own (for a card, or for none).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.environments import BPY, LOCKS, SHARED, SetUpError

UV = "uv==0.13.8"
PIP = "pip==26.3"  # goes on with a large file after the connection broke
NOT_LOCKED = "torch"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
COMPILE = ("--universal", "--python-version=3.11", "--generate-hashes", "--no-header", "--no-annotate", "--no-config")


def locked_versions(lock: Path) -> dict[str, set[str]]:
    """The versions of each package: two where platforms or Pythons differ."""
    versions: dict[str, set[str]] = {}
    for name, version in PIN.findall(lock.read_text(encoding="utf-8")):
        versions.setdefault(name, set()).add(version)
    return versions


def unlocked(requirements: tuple[str, ...], lock: Path | None) -> list[str]:
    """The requirements that the lock does not have."""
    locked = locked_versions(lock) if lock else {}
    return [line for line in requirements if line.split("==")[0] not in locked]


def requirements_of_locks(root: Path) -> dict[str, list[str]]:
    """What each lock is made from.  The extra for cards is in none: torch has a say in which of these it is."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    run = [line for line in project["dependencies"] if line.split("==")[0] != NOT_LOCKED]
    shared = [line for line in run + extras["dev"] if line.split("==")[0] in SHARED]
    blenders = [f"{bpy} ; python_version == '{major}.{minor}'" for (major, minor), bpy in BPY.items()]
    return {"run": run, "dev": extras["dev"], "blender": blenders + shared, "uv": [UV], "pip": [PIP]}


def write_locks(root: Path) -> None:
    """Write every lock anew.

    Raises:
        SetUpError: uv is not on PATH, or finds no versions that go together.
    """
    uv = shutil.which("uv") or shutil.which("uv", path=str(root / ".venv/bin"))
    if uv is None:
        raise SetUpError(f"uv writes the locks, and is not here: pip install {UV}")
    folder = root / LOCKS
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        never = Path(name, "never.txt")
        never.write_text(f"{NOT_LOCKED} ; python_version < '0'\n", encoding="utf-8")
        for lock, requirements in requirements_of_locks(root).items():
            source = Path(name, f"{lock}.in")
            source.write_text("\n".join(requirements), encoding="utf-8")
            command = [uv, "pip", "compile", *COMPILE, f"--override={never}", str(source)]
            if lock == "dev":  # in the environment of `run`
                command.append(f"--constraints={folder / 'run.txt'}")
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                raise SetUpError(f"uv could not lock {lock}: {answer.stderr.strip()}")
            (folder / f"{lock}.txt").write_text(answer.stdout, encoding="utf-8")
