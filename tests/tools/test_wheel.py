"""`pip install .`: what the wheel has in it, and that the installed command works away from the repository."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = ("backend", "shared", "blender_addon", "tests", "tools")
QUIET = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, since setuptools leaves its build folder in the source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *QUIET, f"--wheel-dir={folder}", source], check=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel):
    """A virtual environment with our wheel, and beside it the packages of the environment that runs this."""
    folder = wheel.with_name("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run([sys.executable, "-m", "pip", f"--python={folder}", "install", *QUIET, wheel], check=True)
    (site,) = folder.glob("**/site-packages")
    (site / "beside.pth").write_text(sysconfig.get_path("purelib"))
    return folder / ("Scripts" if os.name == "nt" else "bin")


def called(program, *arguments, folder, on_path):
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    paths = os.pathsep.join([*([str(program.parent)] if on_path else []), os.environ["PATH"]])
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**inherited, "PATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_has_the_backend_and_its_objects_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(file.relative_to(ROOT)) for room in ("backend", "shared") for file in (ROOT / room).rglob("*.py")}
    objects = {f"backend/priors/objects/{file.name}" for file in (ROOT / "backend/priors/objects").iterdir()}
    assert len([name for name in objects if name.endswith(".webp")]) >= 800
    assert {"backend/priors/objects/words.txt", "backend/priors/objects/words.safetensors"} <= objects
    configs = {str(file.relative_to(ROOT)) for file in (ROOT / "backend/priors/single_file_configs").rglob("*.*")}
    assert {"unet", "vae", "text_encoder", "tokenizer", "scheduler"} <= {Path(name).parent.name for name in configs}
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == code | objects | configs | {
        "backend/py.typed",
        "backend/guidance/corrective.safetensors",
        "shared/py.typed",
        "backend/render/splats.cu",
    }
    assert any(name.endswith("/LICENSE") for name in metadata)


def test_the_wheel_names_its_command_version_and_python(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
        commands = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert "splatsmith = backend.cli.main:main" in commands
    assert f"\nVersion: {PROJECT['version']}\n" in text
    assert "\nRequires-Dist: torch==2." in text
    assert "Requires-Python: " in text


def test_the_installed_command_makes_splats_away_from_the_repository(installed, tmp_path):
    options = ("generate", "--prompt", "a chair", "--quality", "draft", "--steps", "4")
    answer = called(installed / "splatsmith", *options, "--out", tmp_path / "chair", folder=tmp_path, on_path=True)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "chair/splats.ply").stat().st_size > 1000
    assert str(ROOT) not in answer.stderr


def test_it_tells_how_to_go_on_by_the_installed_command(installed, tmp_path):
    command = "t.with_command(['generate', '--continue', 'there'])"
    program = f"import backend.terminal as t; print(t.CHECKOUT, {command}, sep=';')"
    python = installed / "python"
    answer = called(python, "-c", program, folder=tmp_path, on_path=True)
    assert answer.stdout.strip() == "None; with: splatsmith generate --continue there"
    # The shell does not find it: its path.
    answer = called(python, "-c", program, folder=tmp_path, on_path=False)
    assert answer.stdout.strip() == f"None; with: {installed / 'splatsmith'} generate --continue there"
    # Another environment's command has the same name.
    other = tmp_path / "other/splatsmith"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    command = f"import os; os.environ['PATH'] = {str(other.parent)!r}; {program}"
    answer = called(python, "-c", command, folder=tmp_path, on_path=False)
    assert answer.stdout.strip() == f"None; with: {installed / 'splatsmith'} generate --continue there"


def test_the_installed_server_has_a_worker(installed, tmp_path):
    """The worker is a process of its own, which must find the package in a folder that knows nothing of it."""
    program = (
        "import queue, sys; from pathlib import Path; from backend.service.executors.process import Worker;"
        "from shared.waker import Waker; heard = queue.SimpleQueue();"
        "worker = Worker(Path('worker.log'), heard, Waker());"
        "print(type(heard.get(timeout=120)[1]).__name__); worker.kill(); worker.close()"
    )
    answer = called(installed / "python", "-c", program, folder=tmp_path, on_path=False)
    assert re.fullmatch(r"\w+\n", answer.stdout), answer.stderr + (tmp_path / "worker.log").read_text()
    assert answer.stdout != "NoneType\n"
