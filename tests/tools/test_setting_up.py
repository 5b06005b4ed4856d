"""Setting environments up: stamps, interruptions, the lock, real installs."""

import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from bare_house import fake_python, front_door, has_acorn, wait_for_lock

from tools.environments import (
    SHARED,
    Environment,
    SetUpError,
    environments,
)
from tools.installing import _works, forget_half_installed, only_one, set_up

ROOT = Path(__file__).parents[2]


def test_a_set_up_is_made_once_and_mended_when_broken(tmp_path, wheel):
    environment = Environment(tmp_path / "env", {"run": (str(wheel),)})
    set_up(environment, "run")
    assert environment.ready("run")
    assert has_acorn(environment)

    began = time.monotonic()
    set_up(environment, "run")
    assert time.monotonic() - began < 5

    # Killed between the module and the end of its metadata: pip alone would call it installed.
    site = next(environment.folder.glob("**/site-packages"))
    environment.stamp("run").unlink()
    (site / "acorn.py").unlink()
    (site / "acorn-1.0.dist-info/INSTALLER").unlink()
    (environment.folder / "witness").touch()
    set_up(environment, "run")
    assert has_acorn(environment)
    assert (environment.folder / "witness").exists()  # gone on with, not begun again

    environment.python.unlink()  # as when the Python it was made from is gone
    assert not environment.ready("run")
    set_up(environment, "run")
    assert has_acorn(environment)
    assert not (environment.folder / "witness").exists()


def test_a_failure_names_the_log_and_is_gone_on_from(tmp_path, wheel):
    hidden = wheel.rename(wheel.with_suffix(".away"))
    environment = Environment(tmp_path / "env", {"run": (str(wheel),)})
    with pytest.raises(SetUpError, match=r"setup\.log"):
        set_up(environment, "run")
    assert "acorn" in (tmp_path / "work/setup.log").read_text()
    assert not environment.ready("run")
    hidden.rename(wheel)
    set_up(environment, "run")
    assert environment.ready("run")


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_a_killed_set_up_is_picked_up(tmp_path, wheel):
    program = (
        "import sys; from pathlib import Path; from tools.environments import Environment; "
        "from tools.installing import set_up; "
        "set_up(Environment(Path(sys.argv[1]), {'run': (sys.argv[2],)}), 'run')"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "env"), str(wheel)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    while not (tmp_path / "env/pyvenv.cfg").exists():
        time.sleep(0.05)
    time.sleep(0.5)  # in the midst of pip's own installation
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "env/run.stamp").exists()
    wait_for_lock(tmp_path / "work/setup.lock")  # its children are gone a moment later
    environment = Environment(tmp_path / "env", {"run": (str(wheel),)})
    set_up(environment, "run")
    assert has_acorn(environment)


def test_a_stamp_fits_one_list_of_requirements(tmp_path):
    old, new = (Environment(tmp_path, {"run": (f"torch=={version}",), "dev": ("ruff",)}) for version in ("1", "2"))
    old.python.parent.mkdir()
    old.python.touch()
    old.stamp("run").write_text(old.digest("run"))
    assert old.ready("run")
    assert not new.ready("run")
    assert not old.ready("dev")


def test_half_installed_packages_are_forgotten(tmp_path):
    whole, half = (tmp_path / f"lib/site-packages/{name}-1.dist-info" for name in ("whole", "half"))
    for folder in (whole, half):
        folder.mkdir(parents=True)
        (folder / "METADATA").touch()
    (whole / "INSTALLER").touch()
    forget_half_installed(tmp_path)
    assert whole.exists()
    assert not half.exists()


def test_requirements_come_from_pyproject(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    backend, blender = environments(ROOT)
    assert any(line.startswith("torch==") for line in backend.groups["run"])
    assert not any(line.startswith("torch") for line in blender.groups["run"])
    assert {line.split("==")[0] for line in blender.groups["run"]} == {"bpy", *SHARED}
    assert len(blender.groups["run"]) == len(SHARED) + 1


def test_a_second_set_up_is_told_so(house):
    (house / "work").mkdir()
    with only_one(house / "work/setup.lock"):
        answer = front_door(house, "setup")
    assert answer.returncode == 1
    assert answer.stderr.startswith("Another set-up is running")
    with only_one(house / "work/setup.lock"):
        pass  # free again


def test_an_environment_of_another_python_is_made_again(tmp_path):
    environment = Environment(tmp_path / "env", {"run": ()}, maker=(sys.executable, "-X", "utf8"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
    assert not _works(environment)  # without pip
    for answer, works in (("(3, 11)", sys.version_info[:2] == (3, 11)), ("(3, 9)", False)):
        maker = fake_python(tmp_path, "maker", 0)
        Path(maker[0]).write_text(f"#!/bin/sh\necho '{answer}'\n")
        here = Environment(Path(sys.prefix), {}, maker=tuple(maker))
        assert _works(here) == works


def test_locked_packages_are_installed_by_uv_and_refused_with_another_hash(tmp_path, wheel, monkeypatch):
    """A stand-in for uv says that it was called, and fails: pip does the same by the same lock."""
    uv = fake_python(tmp_path, "tools/uv", 1)[0]
    Path(uv).write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "called"}; exit 1\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}")
    lock = tmp_path / "run.txt"
    lock.write_text(f"acorn==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    environment = Environment(tmp_path / "env", {"run": ("acorn==1.0",)}, locks={"run": lock})
    with pytest.raises(SetUpError, match="could not install"):
        set_up(environment, "run")
    assert not has_acorn(environment)
    refused = environment.digest("run")
    lock.write_text(f"acorn==1.0 --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n")
    assert environment.digest("run") != refused
    set_up(environment, "run")
    assert has_acorn(environment)
    assert (tmp_path / "called").read_text().split() == [
        *("pip", "install", "--python", str(environment.python)),
        *("--require-hashes", "--no-deps", "-r", str(lock)),
    ]
