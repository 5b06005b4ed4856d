"""The virtual environments: `.venv` for the backend, `.venv-bpy` for Blender's side, others for newer Blenders.

They are apart because Blender's wheel is bound to packages of its own choice.  An environment is built in place,
group by group (`run`, then `dev` for the tests), and each group's stamp is written last: a file with a digest of the
Python version, the requirements and their lock; the build of torch that fits this machine's card (card.py) is one of
the requirements.  A stamp that fits means that the group is there; anything else is
picked up by installing.py, which keeps what it finds.  So a set-up may be killed at any moment.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.card import BUILDS, Choice, this_machine

BPY = {(3, 11): "bpy==4.2.23", (3, 13): "bpy==5.1.2"}  # Blender's wheel is for one Python
SHARED = ("msgspec", "numpy", "pytest", "pyzmq")  # of the same version on both sides
NEWER_BPY = {".venv-bpy45": "bpy==4.5.15", ".venv-bpy50": "bpy==5.0.1"}  # of Python 3.11
WIRE_TESTS = (*SHARED, "psutil", "hypothesis", "trimesh")  # what the tests of the wire need
LOCKS = Path("tools/locks")  # made by locks.py


class SetUpError(Exception):
    """A set-up that stopped: one sentence that says why and what to do."""


@dataclass(frozen=True)
class Environment:
    """A folder, and the requirements of each group of packages in it."""

    folder: Path
    groups: dict[str, tuple[str, ...]]
    maker: tuple[str, ...] = (sys.executable,)  # the command of the Python it is made from
    refusal: str = ""  # why it cannot be made here
    locks: Mapping[str, Path] = field(default_factory=dict)  # a group's packages, and theirs, with hashes
    torch: Choice | None = None  # which build, where torch is among the packages

    @property
    def python(self) -> Path:
        """The environment's interpreter, whether it is there or not."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def stamp(self, group: str) -> Path:
        """The file that says the group is complete."""
        return self.folder / f"{group}.stamp"

    def digest(self, group: str) -> str:
        """What the stamp must hold."""
        lock = self.locks.get(group)
        locked = [lock.read_text(encoding="utf-8")] if lock else []
        for_card = [f"CUDA {self.torch.cuda}"] if group == "run" and self.torch and self.torch.cuda else []
        lines = [platform.python_version(), *sorted(self.groups[group]), *for_card, *locked]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def ready(self, group: str) -> bool:
        """Whether the group is there, complete, and of this pyproject.toml."""
        stamp = self.stamp(group)
        return self.python.exists() and stamp.exists() and stamp.read_text() == self.digest(group)


def environments(root: Path) -> tuple[Environment, Environment]:
    """The backend's and Blender's, as the pyproject.toml in `root` has them, with what fits this machine's card."""
    project = _project(root)
    backend = _backend(root, project, this_machine())
    if backend.torch and not backend.torch.sure:
        backend = _as_it_was(root, project, backend.torch) or backend
    pins = [line for group in backend.groups.values() for line in group]
    return backend, _blender(root, tuple(line for line in pins if line.split("==")[0] in SHARED))


def _backend(root: Path, project: dict[str, Any], choice: Choice) -> Environment:
    extras = project["optional-dependencies"]
    for_card = extras[choice.extra] if choice.extra else ()
    run = (*project["dependencies"], *for_card)
    run = tuple(choice.requirement(line) if line.startswith("torch==") else line for line in run)
    locks = {group: root / LOCKS / f"{group}.txt" for group in ("run", "dev")}
    return Environment(root / ".venv", {"run": run, "dev": tuple(extras["dev"])}, locks=locks, torch=choice)


def _as_it_was(root: Path, project: dict[str, Any], choice: Choice) -> Environment | None:
    """The environment for the card that was here at the last set-up: nvidia-smi fails now and then."""
    earlier = (_backend(root, project, replace(choice, cuda=cuda)) for cuda in BUILDS)
    return next((environment for environment in earlier if environment.ready("run")), None)


def _blender(root: Path, shared: tuple[str, ...]) -> Environment:
    this = sys.version_info[:2]
    bpy = BPY.get(this)
    refusal = "" if bpy else "Blender is no package for Python {}.{}: install python3.11 or python3.13.".format(*this)
    groups = {"run": (*([bpy] if bpy else []), *shared)}
    return Environment(root / ".venv-bpy", groups, refusal=refusal, locks={"run": root / LOCKS / "blender.txt"})


def wire_environment(root: Path, python: list[str]) -> Environment:
    """One for the tests of the wire and of the add-on's parts that need no Blender, in another Python."""
    backend, _ = environments(root)
    pins = [line for group in backend.groups.values() for line in group if line.split("==")[0] in WIRE_TESTS]
    return Environment(root / ".venv-wire", {"run": tuple(pins)}, tuple(python))


def newer_blenders(root: Path) -> list[Environment]:
    """The Blenders that the add-on is tested in beside that of `.venv-bpy`, each with the numpy that it wants."""
    if sys.version_info[:2] != (3, 11):
        return []
    beside = tuple(line for line in environments(root)[1].groups["run"][1:] if not line.startswith("numpy"))
    return [Environment(root / name, {"run": (bpy, *beside)}) for name, bpy in NEWER_BPY.items()]


def _project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]  # type: ignore[no-any-return]
