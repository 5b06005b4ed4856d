"""A copy of the front door without environments, and something to install."""

import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wheel(tmp_path):
    """A real wheel with one module, so that pip has something to install without a network."""
    file = tmp_path / "acorn-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("acorn.py", "SIZE = 3\n")
        archive.writestr("acorn-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acorn\nVersion: 1.0\n")
        archive.writestr("acorn-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("acorn-1.0.dist-info/RECORD", "")
    return file


@pytest.fixture
def house(tmp_path):
    """A copy of the front door alone: no environment, no weights."""
    copy = tmp_path / "house"
    copy.mkdir()
    for name in ("build.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "tools", copy / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "backend").mkdir()
    for name in ("__init__.py", "cards.py"):  # the rest of the backend needs what is not installed yet
        shutil.copy(ROOT / "backend" / name, copy / "backend")
    return copy
