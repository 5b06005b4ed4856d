"""The front door alone in a folder of its own, and what tests ask of it."""

import subprocess
import sys
import time
from pathlib import Path

from tools.environments import (
    SetUpError,
    environments,
)
from tools.installing import only_one

ROOT = Path(__file__).parents[2]


def front_door(house, *arguments):
    command = [sys.executable, str(house / "build.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=house.parent)


def has_acorn(environment):
    return subprocess.run([environment.python, "-c", "import acorn"], capture_output=True, check=False).returncode == 0


def wait_for_lock(path):
    for _ in range(100):
        try:
            with only_one(path):
                return
        except SetUpError:
            time.sleep(0.1)


def fake_python(folder, name, status):
    script = folder / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\nexit {status}\n")
    script.chmod(0o755)
    return [str(script)]


def stamped(house):
    """Environments that pass for complete; what their Python runs is a module `pytest` that prints its arguments."""
    for environment in environments(house):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
        (site,) = environment.folder.glob("**/site-packages")
        (site / "pytest.py").write_text(
            "import os, sys; print(sys.prefix.split(os.sep)[-1], os.environ.get('OMP_NUM_THREADS'), sys.argv[1:])"
        )
        for group in environment.groups:
            environment.stamp(group).write_text(environment.digest(group))
