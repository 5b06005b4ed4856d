"""Making the virtual environments: by uv where it can, which is faster, else by pip.

uv knows nothing of pip's settings, so it installs only what the lock has with its hashes: the same files from
wherever they come.  The lock on the folder is by the standard library, since filelock is not installed yet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import IO

from tools.environments import Environment, SetUpError
from tools.locks import unlocked
from tools.progress import Progress
from tools.torch_build import announce, exactly_pypis, to_download, wrong_build

PIP = ("-m", "pip", "install", "--progress-bar=off", "--disable-pip-version-check")
RESUMED = "50"  # times that pip goes on with a file after the connection broke; an older pip knows nothing of it


def set_up(environment: Environment, *groups: str) -> None:
    """Make of an environment what is not there yet; at once where all is.

    Raises:
        SetUpError: another set-up is running, the disk has no room, or Python or pip could not do their part.
    """
    if environment.refusal:
        raise SetUpError(environment.refusal)
    missing = [group for group in groups if not environment.ready(group)]
    if not missing:
        return
    work = environment.folder.parent / "work"
    work.mkdir(exist_ok=True)
    with only_one(work / "setup.lock") as lock, (work / "setup.log").open("a", encoding="utf-8") as log:
        if "run" in missing:
            announce(environment)
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
    """A group's packages, then its stamp: what is locked by uv or else pip, the rest by pip.

    The rest is torch, of which a machine may have a build of its own that only pip's settings know.
    """
    requirements, locked = environment.groups[group], environment.locks.get(group)
    stamp = environment.stamp(group)
    stamp.unlink(missing_ok=True)
    pip = [str(environment.python), *PIP]
    with Progress(f"{environment.folder.name}: installing {len(requirements)} packages ({group})") as progress:
        done = True
        if locked:
            hashed = ["--require-hashes", "--no-deps", "-r", str(locked)]
            uv = _uv(environment, locked.with_name("uv.txt"), log, lock)
            done = bool(uv) and _follow([*uv, *hashed], log, lock, progress) == 0
            done = done or _follow([*pip, *hashed], log, lock, progress) == 0
        if not (done and _install_rest(environment, unlocked(requirements, locked), log, lock, progress)):
            raise SetUpError(
                f"{environment.folder.name}: pip could not install everything (is there a network, and room on the "
                f"disk?): the reason is in {log.name}, and the next call goes on from here."
            )
    whole = stamp.with_suffix(".new")
    whole.write_text(environment.digest(group))
    whole.replace(stamp)


def _install_rest(environment: Environment, rest: list[str], log: IO[str], lock: IO[str], progress: Progress) -> bool:
    """What is in no lock, with torch in the build that fits the card; whether it is there.

    Where pip's settings have a build for the CPU alone, and the card's cannot be fetched, the run still works.
    """
    if not rest:
        return True
    pip, choice = [str(environment.python), *PIP], environment.torch
    if choice and choice.cuda and to_download(environment) and (newest := environment.locks.get("run")):
        locked = str(newest.with_name("pip.txt"))  # that goes on with a file of which a part has come
        _follow([*pip, "--require-hashes", "--no-deps", "-r", locked], log, lock, progress)
    if choice and choice.index:
        pip += ["--extra-index-url", choice.index]
    if _follow([*pip, *rest], log, lock, progress) != 0:
        return False
    if wrong_build(environment) and _follow([*pip, *exactly_pypis(rest)], log, lock, progress) != 0:
        print(f"torch for this card cannot be fetched, so it runs on the CPU: the reason is in {log.name}.", flush=True)
    return True


def _uv(environment: Environment, lock_of_uv: Path, log: IO[str], lock: IO[str]) -> list[str]:
    """uv's command that installs into the environment, or nothing where there is no uv and pip cannot fetch it."""
    own = environment.python.with_name("uv.exe" if os.name == "nt" else "uv")
    found = shutil.which("uv")
    if not found and not own.exists():
        fetch = [str(environment.python), *PIP, "--require-hashes", "--no-deps", "-r", str(lock_of_uv)]
        _follow(fetch, log, lock)
    uv = found or (str(own) if own.exists() else None)
    return [uv, "pip", "install", "--python", str(environment.python)] if uv else []


def _follow(command: list[str], log: IO[str], lock: IO[str], progress: Progress | None = None) -> int:
    """Run a command with its output in the log, and what pip is at in the progress line; the exit code.

    The command has the lock file open: should we be killed and it lives on, nobody sets up beside it.
    """
    keep = () if os.name == "nt" else (lock.fileno(),)
    print("$", *command, file=log, flush=True)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=keep,
        env={"PIP_RESUME_RETRIES": RESUMED, **os.environ},
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
