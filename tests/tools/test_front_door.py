"""The commands of build.py, as real processes in a bare copy of the house."""

import subprocess
import sys
from pathlib import Path

import pytest
from bare_house import front_door, stamped

from tools.commands import demo_folder, slug
from tools.environments import (
    environments,
)

ROOT = Path(__file__).parents[2]


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
    (house / "backend/__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(2)")
    for environment in environments(house):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
        for group in environment.groups:
            environment.stamp(group).write_text(environment.digest(group))
    answer = front_door(house, "demo", "a red apple", "--objective", "jsd", "--out", "there")
    assert answer.returncode == 2
    assert answer.stdout.strip() == "['generate', '--prompt=a red apple', '--out=there', '--objective', 'jsd']"


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
