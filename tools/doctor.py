"""What is installed, what is missing, and the one command that mends it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from textwrap import shorten

from tools.card import asked
from tools.doctor_card import card_findings
from tools.environments import Environment, environments
from tools.findings import SET_UP, Finding, printed_in
from tools.torch_build import room

SPACE_NEEDED = 2.5  # GB for both environments, beside torch
MEMORY_NEEDED = 3.5  # GB
PIN = re.compile(r"([\w.-]+)==([\w.+]+)$")
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
    for_torch = next((needed for _, needed in room(backend)), 0.0)
    return [
        Finding("Python", f"{platform.python_version()}, {sys.executable}"),
        Finding("processor", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
        *_memory(),
        _disk(root, for_torch + (SPACE_NEEDED if missing else 1.0)),
        *card_findings(root, backend, asked()),
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


def _environment(environment: Environment, group: str, *named: str) -> Finding:
    """Whether a group is complete, and the versions of the packages worth naming."""
    name = f"{environment.folder.name} {group}"
    if environment.refusal:
        return Finding(name, "cannot be made in this Python", environment.refusal)
    if not environment.python.exists():
        return Finding(name, "is not there", SET_UP)
    pins = {found[1]: found[2] for line in environment.groups[group] if (found := PIN.match(line))}
    versions = json.loads(printed_in(environment, VERSIONS, *pins) or "{}")
    wrong = [f"{key} {versions.get(key) or 'missing'}" for key, pin in pins.items() if _differs(versions.get(key), pin)]
    if wrong:
        return Finding(name, f"not as pyproject.toml has it: {shorten(', '.join(wrong), 80)}", SET_UP)
    if not environment.ready(group):
        return Finding(name, "set up for another Python or pyproject.toml, or not to the end", SET_UP)
    return Finding(name, ", ".join(f"{key} {versions[key]}" for key in named))


def _differs(installed: str | None, pin: str) -> bool:
    """torch's 2.13.0+cpu is as good as 2.13.0, but not as 2.13.0+cu126."""
    return installed is None or pin not in (installed, installed.partition("+")[0])


def _prior(objects: Path) -> Finding:
    index, words = objects / "kit.json", objects / "words.safetensors"
    named = json.loads(index.read_text(encoding="utf-8"))["objects"] if index.exists() else []
    missing = [entry["file"] for entry in named if not (objects / entry["file"]).exists()]
    if not named or missing or not words.exists():
        return Finding("embedded prior", f"is not whole in {OBJECTS}", f"git checkout -- {OBJECTS}")
    size = sum(file.stat().st_size for file in objects.iterdir()) / 1e6
    return Finding("embedded prior", f"{len(named)} objects in {OBJECTS}, {size:.1f} MB")
