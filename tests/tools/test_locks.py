"""The locks are those of pyproject.toml, have hashes for every file, and name no host."""

import re
from pathlib import Path

import pytest

from tools.environments import BPY, LOCKS, environments
from tools.locks import locked_versions, requirements_of_locks, unlocked

ROOT = Path(__file__).parents[2]
REQUIREMENTS = requirements_of_locks(ROOT)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_lock_has_every_pin_with_its_version(name):
    locked = locked_versions(ROOT / LOCKS / f"{name}.txt")
    for line in REQUIREMENTS[name]:
        package, version = line.partition(" ;")[0].split("==")
        assert version in locked[package]
        assert len(locked[package]) == (len(BPY) if package == "bpy" else 1)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_lock_has_a_hash_for_each_package_and_names_no_host(name):
    text = (ROOT / LOCKS / f"{name}.txt").read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", package) for package in packages)
    assert not re.search(r"https?:|//|--index|--find-links|#", text)


def test_the_environments_of_one_lock_agree():
    run, dev = (locked_versions(ROOT / LOCKS / f"{name}.txt") for name in ("run", "dev"))
    assert {name: (run[name], dev[name]) for name in run.keys() & dev.keys() if run[name] != dev[name]} == {}


def test_torch_alone_is_left_to_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi: what our kernels need on a card is in no lock either
    backend, blender = environments(ROOT)
    locked = locked_versions(backend.locks["run"])
    assert not [name for name in locked if name.startswith(("torch", "nvidia", "triton", "sympy", "cuda"))]
    assert [line.split("==")[0] for line in unlocked(backend.groups["run"], backend.locks["run"])] == ["torch"]
    assert unlocked(backend.groups["dev"], backend.locks["dev"]) == []
    assert unlocked(blender.groups["run"], blender.locks["run"]) == []


def test_a_requirement_that_is_not_locked_yet_is_left_to_pip(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("acorn==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\nacorn==2.0 \\\n")
    assert locked_versions(lock) == {"acorn": {"1.0", "2.0"}}
    assert unlocked(("acorn==1.0", "oak==3"), lock) == ["oak==3"]
    assert unlocked(("acorn==1.0", "oak==3"), None) == ["acorn==1.0", "oak==3"]
