"""The packages that a bare machine with a card lacks and cannot fetch: packed here, unpacked there.

Each wheel for that machine's Python is downloaded, unpacked and packed again by xz, which takes half of a wheel's
size or less.  The packages go into a folder that git ignores, in their order here, as long as tree and packages
together stay below what may travel.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = "work/gpu-wheels"
LIMIT_MIB = 62.0  # 64 may travel
PYTHON = "3.12"
GLIBCS = ("2_28", "2_27", "2_26", "2_24", "2_17")  # pip matches each exactly
LOCK = Path("tools/locks/run.txt")


@dataclass(frozen=True)
class Package:
    """A package, the line of Python that runs where it need not be unpacked, and what cannot run without it."""

    name: str
    line: str
    without: str
    version: str = ""  # only for those that are in no lock


def newest(name: str, major: int) -> str:
    """The line that asks whether a package is there, and not older than this major version."""
    return f"from importlib.metadata import version as v; assert int(v('{name}').split('.')[0]) >= {major}"


ALL = "everything"
PACKAGES = (
    Package("msgspec", "import msgspec", ALL),
    Package("platformdirs", "import platformdirs", ALL),
    Package("gsply", "import gsply", ALL),
    Package("trimesh", "import trimesh", ALL),
    Package("xatlas", "import xatlas", ALL),
    Package("fast-simplification", "import fast_simplification", ALL),
    Package("importlib-metadata", "import importlib_metadata", "memory, out_of_memory, rules"),
    Package("lazy-importer", "import lazy_importer", "memory, out_of_memory, rules"),
    Package("truststore", "import truststore", "memory, out_of_memory, rules"),
    Package("httpcore2", "import httpcore2", "memory, out_of_memory, rules"),
    Package("httpx2", "import httpx2", "memory, out_of_memory, rules"),
    Package("diffusers", "import importlib.util as u; assert u.find_spec('diffusers')", "memory, out_of_memory, rules"),
    Package("pyzmq", "import zmq", "served"),
    Package("cuda-pathfinder", "import cuda.pathfinder", "kernels", "1.9.1"),
    Package("cuda-core", newest("cuda-core", 1), "kernels", "1.2.2"),
    Package("cuda-bindings", newest("cuda-bindings", 13), "kernels", "13.5.0"),
    Package("gsplat", "import importlib.util as u; assert u.find_spec('gsplat')", "gsplat, harmonics"),
)


def pack(root: Path = ROOT) -> int:
    """Fill the folder and say what is in it; the exit code."""
    target = root / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    tree, total = tree_mib(root), 0.0
    print(f"The working tree: {tree:.1f} MiB.")
    for package, version in versions(root).items():
        with tempfile.TemporaryDirectory() as folder:
            archive = _repacked(package.name, version, Path(folder))
            size = archive.stat().st_size / 2**20
            if tree + total + size > LIMIT_MIB:
                print(f"  {archive.name:40} {size:6.2f} MiB: no room, so without it: {package.without}")
                continue
            shutil.copy(archive, target)
        total += size
        print(f"  {archive.name:40} {size:6.2f} MiB")
    print(f"{FOLDER}: {total:.1f} MiB; with the tree {tree + total:.1f} of {LIMIT_MIB:g} MiB.")
    return 0


def tree_mib(root: Path) -> float:
    """The size of what travels without being named: tracked files, and those that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    files = [root / name for name in said.split("\0") if name]
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file()) / 2**20


def versions(root: Path) -> dict[Package, str]:
    """The version of each package: ours."""
    pins = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lines = [*pins, *(root / LOCK).read_text(encoding="utf-8").splitlines()]
    found = {match[1]: match[2] for line in lines if (match := re.match(r"([\w.-]+)==([\w.]+)", line))}
    return {package: package.version or found[package.name] for package in PACKAGES}


def _repacked(name: str, version: str, folder: Path) -> Path:
    """NAME-VERSION.tar.xz in a folder."""
    wheel, site = _download(f"{name}=={version}", folder), folder / "site"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    for part in site.glob("*.data/*lib"):  # platlib, purelib: they belong beside the rest
        shutil.copytree(part, site, dirs_exist_ok=True)
    archive = folder / f"{name}-{version}.tar.xz"
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for file in sorted(site.iterdir()):
            packed.add(file, file.name)
    return archive


def _download(requirement: str, folder: Path) -> Path:
    platforms = [f"--platform=manylinux_{glibc}_x86_64" for glibc in GLIBCS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    command += [f"--python-version={PYTHON}", "--implementation=cp", f"--dest={folder}", requirement]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def unpack(source: Path, site: Path) -> dict[str, str]:
    """Unpack into `site` what this Python lacks; for each package where it comes from."""
    archives = {archive.name.removesuffix(".tar.xz").rpartition("-")[0]: archive for archive in source.glob("*.tar.xz")}
    site.mkdir(parents=True, exist_ok=True)
    told = {}
    for package in PACKAGES:
        if subprocess.run([sys.executable, "-c", package.line], capture_output=True, check=False).returncode == 0:
            told[package.name] = "here already"
        elif archive := archives.get(package.name):
            with tarfile.open(archive) as packed:
                packed.extractall(site, filter="data")
            told[package.name] = f"unpacked from {archive.name}"
        else:
            told[package.name] = f"missing, so without it: {package.without}"
    return told
