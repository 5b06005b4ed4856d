"""The one large download, torch: what it weighs, whether there is room for it, whether the right build is there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tools.environments import Environment, SetUpError

UNPACKED = 2.2  # times what is downloaded
OTHERS = 1.5  # GB of the other packages
SMALLEST = 0.2  # GB of torch for the CPU
MEGABITS = 50  # a second: a usual connection
# In torch/version.py.
CUDA = re.compile(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", re.MULTILINE)
VERSION = re.compile(r"^__version__\s*=\s*['\"]([\d.]+)", re.MULTILINE)


def installed_cuda(environment: Environment) -> str | None:
    """The CUDA that the environment's torch is built for; empty for a build without one, None without torch."""
    text = _version_file(environment)
    found = CUDA.search(text)
    return (found[1] if found else "") if text else None


def wrong_build(environment: Environment) -> bool:
    """Whether the torch that is there is for another CUDA than fits, or for none; 13.2 does for 13.0."""
    installed, choice = installed_cuda(environment), environment.torch
    if installed is None or choice is None or not choice.cuda:
        return False
    return installed.split(".")[0] != choice.cuda.split(".")[0]


def to_download(environment: Environment) -> bool:
    """Whether torch is to be fetched."""
    if environment.torch is None:
        return False
    version = VERSION.search(_version_file(environment))
    pins = [re.split(r"==|\+", line) for line in environment.groups["run"] if line.startswith("torch==")]
    return version is None or wrong_build(environment) or any(pin[1] != version[1] for pin in pins)


def _version_file(environment: Environment) -> str:
    """What torch/version.py says in the environment; empty without torch."""
    packages = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    file = next(environment.folder.glob(f"{packages}/torch/version.py"), None)
    return file.read_text(encoding="utf-8") if file else ""


def announce(environment: Environment) -> None:
    """Say how much is downloaded, and for what.

    Raises:
        SetUpError: there is no room for it.
    """
    choice = environment.torch
    if choice is None or not to_download(environment):
        return
    check_room(environment)
    size = choice.gigabytes
    minutes = max(1, round(size * 8000 / MEGABITS / 60))
    about = "about" if choice.cuda else "up to"
    print(f"{environment.folder.name}: {choice.why.rstrip('.')}.", flush=True)
    print(
        f"{environment.folder.name}: downloads {about} {size:.1f} GB, {minutes} min at {MEGABITS} Mbit/s; "
        "files that have come whole are kept when you stop.",
        flush=True,
    )


def check_room(environment: Environment) -> None:
    """Refuse where a disk has no room for what comes to it."""
    for folder, needed in room(environment):
        free = shutil.disk_usage(folder).free / 1e9
        if free < needed:
            raise SetUpError(
                f"There is no room for torch on the disk of {folder}: {needed:.1f} GB are needed while it is "
                f"installed and {free:.1f} GB are free; make room there and call again."
            )


def room(environment: Environment) -> list[tuple[Path, float]]:
    """A folder of each disk that torch needs room on, and how many GB: for the packages, for pip's temporary files and
    for its cache.

    Where no card decides it, only what the smallest torch needs is asked for: pip's settings may have that.
    """
    if not to_download(environment):
        return []
    choice = environment.torch
    size = choice.gigabytes if choice and choice.cuda else SMALLEST
    folders = (
        (environment.folder, size * UNPACKED + OTHERS),
        (Path(tempfile.gettempdir()), size),
        (Path.home(), size),
    )
    disks: dict[int, tuple[Path, float]] = {}
    for folder, gigabytes in folders:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        disk = there.stat().st_dev
        first, others = disks.get(disk, (there, 0.0))
        disks[disk] = (first, others + gigabytes)
    return list(disks.values())


def exactly_pypis(requirements: list[str]) -> list[str]:
    """The requirements with PyPI's own torch: `==2.13.0` would also do with the 2.13.0+cpu that is there."""
    return [line.replace("==", "===") if re.fullmatch(r"torch==[\d.]+", line) else line for line in requirements]


def forget_wrong_build(environment: Environment) -> None:
    """Have the next set-up install torch anew, where somebody has put another build in its place."""
    if wrong_build(environment):
        environment.stamp("run").unlink(missing_ok=True)
