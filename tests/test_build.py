"""The front door: stamps, set-ups that were interrupted, the lock, and real processes in a bare copy of the house."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tools import doctor, pythons
from tools.commands import demo_folder, slug
from tools.environments import (
    SHARED,
    Environment,
    SetUpError,
    environments,
    newer_blenders,
)
from tools.installing import _works, forget_half_installed, only_one, set_up
from tools.pythons import python_of

ROOT = Path(__file__).parents[1]


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
    return copy


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


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a wooden chair", "a-wooden-chair"),
        ("  A RED, shiny apple!  ", "a-red-shiny-apple"),
        ("../../etc/passwd", "etc-passwd"),
        ("🍎", "untitled"),
        ("", "untitled"),
        ("x" * 10_000, "x" * 60),
    ],
)
def test_slug(prompt, name):
    assert slug(prompt) == name


def test_no_two_sentences_have_their_demos_in_one_folder(tmp_path):
    assert demo_folder("a wooden chair", tmp_path) == tmp_path / "out" / "a-wooden-chair"
    alike = (
        "a t-shirt",
        "a t shirt",
        "A t shirt",
        "a t shirt ",
        "a t shirt!",
        "🍎",
        "🍊",
        "",
        "x" * 60,
        "x" * 61,
        "../a",
    )
    folders = {demo_folder(prompt, tmp_path) for prompt in alike}
    assert len(folders) == len(alike)
    assert {folder.parent for folder in folders} == {tmp_path / "out"}


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


def test_requirements_come_from_pyproject_with_cuda_beside_a_card(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    backend, blender = environments(ROOT)
    assert any(line.startswith("torch==") for line in backend.groups["run"])
    assert not any(line.startswith("torch") for line in blender.groups["run"])
    assert {line.split("==")[0] for line in blender.groups["run"]} == {"bpy", *SHARED}
    assert len(blender.groups["run"]) == len(SHARED) + 1
    card = tmp_path / ("nvidia-smi.exe" if os.name == "nt" else "nvidia-smi")
    card.touch(0o755)
    assert set(environments(ROOT)[0].groups["run"]) > set(backend.groups["run"])


def test_a_second_set_up_is_told_so(house):
    (house / "work").mkdir()
    with only_one(house / "work/setup.lock"):
        answer = front_door(house, "setup")
    assert answer.returncode == 1
    assert answer.stderr.startswith("Another set-up is running")
    with only_one(house / "work/setup.lock"):
        pass  # free again


def test_the_doctor_works_before_any_set_up(house):
    answer = front_door(house, "doctor")
    assert answer.returncode == 1
    assert "!!  .venv run" in answer.stdout
    assert "!!  .venv-bpy run" in answer.stdout
    assert "!!  embedded prior" in answer.stdout
    assert answer.stdout.count("python build.py setup") == 1
    assert not (house / ".venv").exists()
    assert answer.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["demo"], ["bake"], ["doctor", "--fast"]])
def test_a_wrong_command_line_is_refused_with_the_usage(house, arguments):
    answer = front_door(house, *arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: build.py")


def test_the_demo_passes_options_and_the_exit_code_on(house):
    (house / "backend").mkdir()
    (house / "backend/__init__.py").touch()  # a package, as ours is
    (house / "backend/__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(2)")
    for environment in environments(house):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
        for group in environment.groups:
            environment.stamp(group).write_text(environment.digest(group))
    answer = front_door(house, "demo", "a red apple", "--objective", "jsd", "--out", "there")
    assert answer.returncode == 2
    assert answer.stdout.strip() == "['generate', '--prompt=a red apple', '--out=there', '--objective', 'jsd']"


def fake_python(folder, name, status):
    script = folder / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\nexit {status}\n")
    script.chmod(0o755)
    return [str(script)]


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(("status", "found"), [(0, ["python3.11"]), (127, None)])
def test_a_python_that_does_not_start_is_not_taken(tmp_path, monkeypatch, status, found):
    fake_python(tmp_path, "python3.11", status)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert python_of((3, 11)) == found


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_a_python_behind_one_that_does_not_start_is_found_in_pyenvs_folder(tmp_path, monkeypatch):
    fake_python(tmp_path, "shims/python3.13", 127)
    command = fake_python(tmp_path, "versions/3.13.0/bin/python3.13", 0)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert python_of((3, 13)) == command


@pytest.mark.parametrize(
    ("this", "there", "used"),
    [
        ((3, 11), {}, "this"),
        ((3, 13), {(3, 11): ["python3.11"]}, "python3.11"),  # the Blenders that are tested are of 3.11
        ((3, 13), {}, "this"),
        ((3, 12), {(3, 13): ["python3.13"]}, "this"),
        ((3, 10), {(3, 12): ["python3.12"], (3, 13): ["python3.13"]}, "python3.13"),
        ((3, 14), {(3, 12): ["python3.12"]}, "python3.12"),
        ((3, 14), {}, None),
    ],
)
def test_build_py_finds_a_python_that_it_can_use(monkeypatch, this, there, used):
    monkeypatch.setattr(sys, "version_info", (*this, 0, "final", 0))
    monkeypatch.setattr(pythons, "python_of", there.get)
    assert pythons.python_to_use() == ([sys.executable] if used == "this" else used and [used])


@pytest.mark.parametrize(("this", "bpy"), [((3, 11), "bpy==4.2."), ((3, 13), "bpy==5.1.")])
def test_blender_is_one_for_this_python(monkeypatch, this, bpy):
    monkeypatch.setattr(sys, "version_info", (*this, 0, "final", 0))
    blender = environments(ROOT)[1]
    assert blender.groups["run"][0].startswith(bpy)
    assert blender.refusal == ""
    assert len(newer_blenders(ROOT)) == (2 if this == (3, 11) else 0)


def test_where_there_is_no_blender_for_this_python_the_backend_alone_is_set_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 0, "final", 0))
    backend, blender = environments(ROOT)
    assert backend.refusal == ""
    with pytest.raises(SetUpError, match=r"Python 3\.12: install python3\.11 or python3\.13"):
        set_up(blender, "run")


def test_an_environment_of_another_python_is_made_again(tmp_path):
    environment = Environment(tmp_path / "env", {"run": ()}, maker=(sys.executable, "-X", "utf8"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
    assert not _works(environment)  # without pip
    for answer, works in (("(3, 11)", sys.version_info[:2] == (3, 11)), ("(3, 9)", False)):
        maker = fake_python(tmp_path, "maker", 0)
        Path(maker[0]).write_text(f"#!/bin/sh\necho '{answer}'\n")
        here = Environment(Path(sys.prefix), {}, maker=tuple(maker))
        assert _works(here) == works


def test_the_doctor_says_that_there_is_no_blender_for_this_python(tmp_path):
    environment = Environment(tmp_path / ".venv-bpy", {"run": ()}, refusal="install python3.11")
    assert doctor._environment(environment, "run").mend == "install python3.11"


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


def test_a_path_runs_alone_in_the_environment_that_it_needs(house, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for folder in ("tests/scenes", "tests/blender"):
        (house / folder).mkdir(parents=True)
    stamped(house)
    run = front_door(house, "test", "tests/scenes", "-k", "density")
    assert run.stdout.splitlines() == [".venv None ['tests/scenes', '-k', 'density']"], run.stderr
    assert front_door(house, "test", "tests/blender").stdout.splitlines() == [".venv-bpy None ['tests/blender']"]
    (quick,) = front_door(house, "test", "--quick").stdout.splitlines()
    assert quick.startswith(".venv 1 [")
    assert "'--ignore=tests/server'" in quick
    assert "'tests/blender'" not in quick


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
