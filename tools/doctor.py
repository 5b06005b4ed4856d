"""What is installed, what is missing, and the one command that mends it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from tools.environments import Environment, environments

SET_UP = "python build.py setup"
SPACE_NEEDED = 8.0  # GB for both environments, with CUDA's libraries
MEMORY_NEEDED = 3.5  # GB
OBJECTS = Path("backend/priors/objects")

# Runs in the environment: versions of the distributions named on the command line, as JSON.
VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
print(json.dumps({name: installed(name) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` says what to do where something is amiss."""

    name: str
    state: str
    mend: str = ""


def doctor(root: Path) -> int:
    """Print the report; 0 where all is well, else 1."""
    findings = examine(root)
    for finding in findings:
        print(f"{'!!' if finding.mend else 'ok'}  {finding.name:14} {finding.state}")
    mends = list(dict.fromkeys(finding.mend for finding in findings if finding.mend))
    if not mends:
        print("\nAll is well.")
        return 0
    print("\nTo mend:", *mends, sep="\n  ")
    return 1


def examine(root: Path) -> list[Finding]:
    """Everything, each apart from the others."""
    backend, blender = environments(root)
    missing = not (backend.ready("run") and blender.ready("run"))
    return [
        Finding("Python", f"{platform.python_version()}, {sys.executable}"),
        Finding("processor", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
        *_memory(),
        _disk(root, SPACE_NEEDED if missing else 1.0),
        _card(backend),
        _environment(backend, "run", "diffusers", "gsplat", "numba", "torch", "transformers"),
        *(
            [_environment(backend, "dev", "hypothesis", "mypy", "pytest", "ruff")]
            if backend.stamp("dev").exists()
            else []
        ),
        _environment(blender, "run", "bpy", "numpy", "pytest"),
        _prior(root / OBJECTS),
    ]


def _memory() -> list[Finding]:
    if not hasattr(os, "sysconf"):  # Windows tells it by other ways
        return []
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    mend = "" if size >= MEMORY_NEEDED else f"use a machine with {MEMORY_NEEDED} GB of memory or more"
    return [Finding("memory", f"{size:.1f} GB", mend)]


def _disk(root: Path, needed: float) -> Finding:
    free = shutil.disk_usage(root).free / 1e9
    mend = "" if free >= needed else f"make room on the disk: {needed:.0f} GB"
    return Finding("disk", f"{free:.1f} GB free", mend)


def _card(backend: Environment) -> Finding:
    """The NVIDIA card, and whether torch can use it."""
    if not shutil.which("nvidia-smi"):
        return Finding("CUDA", "no NVIDIA card found: runs on the CPU")
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True, check=False)
    card = "; ".join(asked.stdout.split("\n")).strip("; ")
    if asked.returncode != 0:
        return Finding("CUDA", "nvidia-smi does not answer", "install or restart NVIDIA's driver")
    if not backend.ready("run"):
        return Finding("CUDA", f"{card} (torch is not installed yet)")
    usable = _ask(backend, "import torch; print(torch.version.cuda, torch.cuda.is_available())")
    mend = "" if usable.endswith("True") else "update NVIDIA's driver, or put a CUDA build of torch into .venv"
    return Finding("CUDA", f"{card}; torch: CUDA {usable or 'does not start'}", mend)


def _environment(environment: Environment, group: str, *named: str) -> Finding:
    """Whether a group is complete, and the versions of the packages worth naming."""
    name = f"{environment.folder.name} {group}"
    if environment.refusal:
        return Finding(name, "cannot be made in this Python", environment.refusal)
    if not environment.python.exists():
        return Finding(name, "is not there", SET_UP)
    pins = dict(line.split("==") for line in environment.groups[group] if "==" in line)
    versions = json.loads(_ask(environment, VERSIONS, *pins) or "{}")
    wrong = [f"{key} {versions.get(key) or 'missing'}" for key, pin in pins.items() if _differs(versions.get(key), pin)]
    if wrong:
        return Finding(name, f"not as pyproject.toml has it: {shorten(', '.join(wrong), 80)}", SET_UP)
    if not environment.ready(group):
        return Finding(name, "set up for another Python or pyproject.toml, or not to the end", SET_UP)
    return Finding(name, ", ".join(f"{key} {versions[key]}" for key in named))


def _differs(installed: str | None, pin: str) -> bool:
    """torch's 2.13.0+cpu is as good as 2.13.0."""
    return installed is None or installed.partition("+")[0] != pin


def _prior(objects: Path) -> Finding:
    index, words = objects / "kit.json", objects / "words.safetensors"
    named = json.loads(index.read_text(encoding="utf-8"))["objects"] if index.exists() else []
    missing = [entry["file"] for entry in named if not (objects / entry["file"]).exists()]
    if not named or missing or not words.exists():
        return Finding("embedded prior", f"is not whole in {OBJECTS}", f"git checkout -- {OBJECTS}")
    size = sum(file.stat().st_size for file in objects.iterdir()) / 1e6
    return Finding("embedded prior", f"{len(named)} objects in {OBJECTS}, {size:.1f} MB")


def _ask(environment: Environment, program: str, *arguments: str) -> str:
    """What a line of Python prints in an environment; nothing where it fails."""
    command = [str(environment.python), "-c", program, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
