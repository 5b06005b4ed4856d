"""The virtual environments: `.venv` for the backend, `.venv-bpy` for Blender's side, others for newer Blenders.

They are apart because Blender's wheel is bound to packages of its own choice.  An environment is built in place,
group by group (`run`, then `dev` for the tests), and each group's stamp is written last: a file with a digest of the
Python version and the requirements.  A stamp that fits means that the group is there; anything else is picked up by
pip, which keeps what it finds.  So a set-up may be killed at any moment.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import IO, Any

from tools.progress import Progress

BPY = {(3, 11): "bpy==4.2.23", (3, 13): "bpy==5.1.2"}  # Blender's wheel is for one Python
SHARED = ("msgspec", "numpy", "pytest", "pyzmq")  # of the same version on both sides
NEWER_BPY = {".venv-bpy45": "bpy==4.5.15", ".venv-bpy50": "bpy==5.0.1"}  # of Python 3.11
WIRE_TESTS = (*SHARED, "psutil", "hypothesis", "trimesh")  # what the tests of the wire need


class SetUpError(Exception):
    """A set-up that stopped: one sentence that says why and what to do."""


@dataclass(frozen=True)
class Environment:
    """A folder, and the requirements of each group of packages in it."""

    folder: Path
    groups: dict[str, tuple[str, ...]]
    maker: tuple[str, ...] = (sys.executable,)  # the command of the Python it is made from
    refusal: str = ""  # why it cannot be made here

    @property
    def python(self) -> Path:
        """The environment's interpreter, whether it is there or not."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def stamp(self, group: str) -> Path:
        """The file that says the group is complete."""
        return self.folder / f"{group}.stamp"

    def digest(self, group: str) -> str:
        """What the stamp must hold."""
        return hashlib.sha256("\n".join([platform.python_version(), *sorted(self.groups[group])]).encode()).hexdigest()

    def ready(self, group: str) -> bool:
        """Whether the group is there, complete, and of this pyproject.toml."""
        stamp = self.stamp(group)
        return self.python.exists() and stamp.exists() and stamp.read_text() == self.digest(group)


def environments(root: Path) -> tuple[Environment, Environment]:
    """The backend's and Blender's, as the pyproject.toml in `root` has them and with CUDA's packages beside a card."""
    project = _project(root)
    extras = project["optional-dependencies"]
    run = (*project["dependencies"], *(extras["cuda"] if shutil.which("nvidia-smi") else ()))
    dev = tuple(extras["dev"])
    shared = tuple(line for line in run + dev if line.split("==")[0] in SHARED)
    backend = Environment(root / ".venv", {"run": run, "dev": dev})
    return backend, _blender(root / ".venv-bpy", shared)


def _blender(folder: Path, shared: tuple[str, ...]) -> Environment:
    this = sys.version_info[:2]
    bpy = BPY.get(this)
    refusal = "" if bpy else "Blender is no package for Python {}.{}: install python3.11 or python3.13.".format(*this)
    return Environment(folder, {"run": (*([bpy] if bpy else []), *shared)}, refusal=refusal)


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


def set_up(environment: Environment, *groups: str) -> None:
    """Make of an environment what is not there yet; at once where all is.

    Raises:
        SetUpError: another set-up is running, or Python or pip could not do their part.
    """
    if environment.refusal:
        raise SetUpError(environment.refusal)
    missing = [group for group in groups if not environment.ready(group)]
    if not missing:
        return
    work = environment.folder.parent / "work"
    work.mkdir(exist_ok=True)
    with only_one(work / "setup.lock") as lock, (work / "setup.log").open("a", encoding="utf-8") as log:
        if not _works(environment):
            _make(environment, log, lock)
        forget_half_installed(environment.folder)
        for group in missing:
            _install(environment, group, log, lock)


def forget_half_installed(folder: Path) -> None:
    """Make pip install anew what it was installing when it was killed.

    pip writes a package's metadata before its last files, and INSTALLER after them; a package with the one and
    without the other would pass for installed.
    """
    for metadata in folder.glob("**/site-packages/*.dist-info"):
        if not (metadata / "INSTALLER").exists():
            shutil.rmtree(metadata)


@contextmanager
def only_one(path: Path) -> Iterator[IO[str]]:
    """Hold the lock file while the block runs; SetUpError where somebody else does.

    The system drops the lock when the last process that has the file open is gone, however it ends.
    """
    with path.open("a+") as lock:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SetUpError("Another set-up is running in this folder: wait until it is done.") from error
        yield lock


def _make(environment: Environment, log: IO[str], lock: IO[str]) -> None:
    """An empty environment with pip, in place of whatever is there."""
    name = environment.folder.name
    if environment.folder.exists():
        shutil.rmtree(environment.folder)
    with Progress(f"{name}: making the environment"):
        if _follow([*environment.maker, "-m", "venv", str(environment.folder)], log, lock) != 0:
            raise SetUpError(
                f"{name} could not be made (on Debian, python3-venv is missing): the reason is in {log.name}."
            )


def _install(environment: Environment, group: str, log: IO[str], lock: IO[str]) -> None:
    """A group's packages by pip, then its stamp."""
    requirements = environment.groups[group]
    stamp = environment.stamp(group)
    stamp.unlink(missing_ok=True)
    pip = [str(environment.python), "-m", "pip", "install", "--progress-bar=off", "--disable-pip-version-check"]
    with Progress(f"{environment.folder.name}: installing {len(requirements)} packages ({group})") as progress:
        if _follow([*pip, *requirements], log, lock, progress) != 0:
            raise SetUpError(
                f"{environment.folder.name}: pip could not install everything (is there a network, and room on the "
                f"disk?): the reason is in {log.name}, and the next call goes on from here."
            )
    whole = stamp.with_suffix(".new")
    whole.write_text(environment.digest(group))
    whole.replace(stamp)


def _follow(command: list[str], log: IO[str], lock: IO[str], progress: Progress | None = None) -> int:
    """Run a command with its output in the log, and what pip is at in the progress line; the exit code.

    The command has the lock file open: should we be killed and it lives on, nobody sets up beside it.
    """
    keep = () if os.name == "nt" else (lock.fileno(),)
    print("$", *command, file=log, flush=True)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", pass_fds=keep
    ) as process:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            verb, _, what = line.strip().partition(" ")
            if progress and verb in ("Collecting", "Downloading", "Building", "Installing"):
                progress.doing = shorten(f"{verb.lower()} {what}", 60, placeholder=" ...")
    return process.returncode


def _works(environment: Environment) -> bool:
    """Whether it starts, has pip, and is of the version of its maker."""
    version = "import sys; print(sys.version_info[:2])"
    own = _answer([str(environment.python), "-c", f"import pip; {version}"])
    return own != "" and own == _answer([*environment.maker, "-c", version])


def _answer(command: list[str]) -> str:
    """What a command prints; nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
