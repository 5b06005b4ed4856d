"""Which Python starts what."""

import os
import sys
from pathlib import Path

import pytest
from bare_house import fake_python

from tools import doctor, pythons
from tools.environments import (
    Environment,
    SetUpError,
    environments,
    newer_blenders,
)
from tools.installing import set_up
from tools.pythons import python_of

ROOT = Path(__file__).parents[2]


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


def test_the_doctor_says_that_there_is_no_blender_for_this_python(tmp_path):
    environment = Environment(tmp_path / ".venv-bpy", {"run": ()}, refusal="install python3.11")
    assert doctor._environment(environment, "run").mend == "install python3.11"
