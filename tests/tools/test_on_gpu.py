"""`tools/on_gpu.py` without a card: its real stages in small sizes, and stages that fail in every way."""

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pytest

from tools.gpu import pack
from tools.on_gpu import ROOT, STAGES

PROGRAM = [sys.executable, str(ROOT / "tools" / "on_gpu.py"), "--cpu"]
RAISES = """
def measure(part):
    part.row("table", count=1, infinite=float("inf"))
    with part.attempt("the first half"):
        raise ValueError("half")
    part.headline("half is enough")
    raise RuntimeError("whole")
"""
HANGS = """
import subprocess, time
def measure(part):
    part.put(child=subprocess.Popen(["sleep", "600"]).pid)
    time.sleep(600)
"""
DIES = """
import os
def measure(part):
    part.put(before=True)
    os.kill(os.getpid(), 11)
"""
WORKS = """
def measure(part):
    part.put(small=part.small, left=part.left)
"""


@pytest.fixture
def stages(tmp_path):
    """Stages of our own, by name."""
    for name, text in {"raises": RAISES, "hangs": HANGS, "dies": DIES, "works": WORKS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return lambda *names: ",".join(str(tmp_path / f"{name}.py") for name in names)


def run(out, *options):
    """The exit code, what was printed, and the report."""
    answer = subprocess.run([*PROGRAM, f"--out={out}", *options], capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout, json.loads((out / "on_gpu.json").read_text())


def gone(pid):
    """Whether a process has ended; one that nobody waited for has, too."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_every_stage_goes_as_far_as_it_can_without_a_card(tmp_path):
    code, printed, report = run(tmp_path, "--limit=600", "--seconds=3000")
    found = {name: stage["found"] for name, stage in report["stages"].items()}
    assert {name: stage["status"] for name, stage in report["stages"].items()} == dict.fromkeys(STAGES, "ok"), printed
    assert code == 0
    assert all(stage["complete"] and not stage["errors"] for stage in found.values())
    assert found["machine"]["versions"]["torch"] == found["machine"]["machine"]["torch"]
    assert all(row["forward_ms"] > 0 for row in found["kernels"]["rows"])
    against = found["kernels"]["scenes"][0]["against the reference in float64"]
    assert max(against.values()) < 1e-4
    assert [row["family"] for row in found["memory"]["table"]] == ["sd-512", "sdxl", "sd-768", "if"]
    assert [(row["family"], row["views"]) for row in found["out_of_memory"]["cards"]] == [("sd-512", 4), ("sdxl", 4)]
    assert all(row["difference"] == 0 for row in found["rules"]["rules"])
    assert found["tests"]["kernels"] == {"passed": 1, "failed": 0, "skipped": 0}
    assert [job["state"] for job in found["served"]["jobs"]] == ["done"]
    assert found["bench"]["steps"][0]["prior_share"] > 0
    assert "server, tiny Stable Diffusion: done" in printed


def test_a_stage_that_fails_is_in_the_report_and_the_next_one_runs(tmp_path, stages):
    code, printed, report = run(tmp_path, "--limit=8", f"--stages={stages('raises', 'hangs', 'dies', 'works')}")
    raises, hangs, dies, works = report["stages"].values()
    assert code == 1
    assert [error["at"] for error in raises["found"]["errors"]] == ["the first half", "the stage itself"]
    assert 'raise RuntimeError("whole")' in raises["found"]["errors"][1]["traceback"]
    assert raises["found"]["table"] == [{"count": 1, "infinite": "inf"}]
    assert "half is enough" in printed
    assert (hangs["status"], hangs["found"].get("complete")) == ("killed: its time was over", None)
    assert "in measure" in hangs["said"]  # where it hung
    assert 7 < hangs["seconds"] < 20
    assert gone(hangs["found"]["child"])
    assert (dies["status"], dies["found"]["before"]) == ("killed by signal 11", True)
    assert (works["status"], works["found"]["small"]) == ("ok", True)
    assert 0 < works["found"]["left"] <= 8


def test_the_time_for_everything_is_kept(tmp_path, stages):
    began = time.monotonic()
    _, _, report = run(tmp_path, "--seconds=20", f"--stages={stages('hangs', 'works')}")
    assert time.monotonic() - began < 60
    statuses = {Path(name).stem: stage["status"] for name, stage in report["stages"].items()}
    assert statuses == {"hangs": "killed: its time was over", "works": "not started: no time was left"}


def test_what_was_found_is_there_when_the_program_itself_is_killed(tmp_path, stages):
    file = tmp_path / "on_gpu.json"
    program = subprocess.Popen(
        [*PROGRAM, f"--out={tmp_path}", f"--stages={stages('hangs')}"], stdout=subprocess.DEVNULL
    )
    child, end = None, time.monotonic() + 120
    while child is None and time.monotonic() < end:
        time.sleep(0.1)
        if file.exists():
            child = json.loads(file.read_text())["stages"].get("hangs", {}).get("found", {}).get("child")
    program.kill()
    program.wait()
    assert json.loads(file.read_text())["stages"]["hangs"]["status"] == "running"
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert gone(child)  # the stage ends with the program, and what it has started


def test_an_unknown_stage_is_refused_before_anything_runs(tmp_path):
    answer = subprocess.run([*PROGRAM, "--stages=machin"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "no such stage" in answer.stderr


def archive(folder, name, **files):
    for file, text in files.items():
        (folder / f"{file}.py").write_text(text)
    with tarfile.open(folder / name, "w:xz") as packed:
        for file in files:
            packed.add(folder / f"{file}.py", f"{file}.py")


def test_only_what_is_missing_is_unpacked(tmp_path, monkeypatch):
    there, missing, nowhere = (pack.Package(name, f"import {name}", "it") for name in ("json", "not_here", "nowhere"))
    monkeypatch.setattr(pack, "PACKAGES", (there, missing, nowhere))
    (tmp_path / "packed").mkdir()
    archive(tmp_path / "packed", "json-1.0.tar.xz", json="broken = 1")
    archive(tmp_path / "packed", "not_here-2.5.tar.xz", not_here="value = 7")
    told = pack.unpack(tmp_path / "packed", tmp_path / "site")
    assert told == {
        "json": "here already",
        "not_here": "unpacked from not_here-2.5.tar.xz",
        "nowhere": "missing, so without it: it",
    }
    assert [file.name for file in (tmp_path / "site").iterdir()] == ["not_here.py"]
    command = [sys.executable, "-c", "import not_here; print(not_here.value)"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout.strip() == b"7"


def test_what_does_not_fit_is_left_out_by_importance(tmp_path, monkeypatch, capsys):
    """A tree of 61 MiB leaves room for the first and the third of three."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(61 * 2**20)
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    (tmp_path / "tools" / "locks").mkdir(parents=True)
    (tmp_path / pack.LOCK).write_text("")
    (tmp_path / ".gitignore").write_text("work/\n")
    sizes = {"first": 300_000, "second": 900_000, "third": 300_000}

    def repacked(name, version, folder):
        file = folder / f"{name}-{version}.tar.xz"
        file.write_bytes(bytes(sizes[name]))
        return file

    monkeypatch.setattr(pack, "_repacked", repacked)
    monkeypatch.setattr(pack, "PACKAGES", tuple(pack.Package(name, "", "that", "1") for name in sizes))
    assert pack.pack(tmp_path) == 0
    assert sorted(file.name for file in (tmp_path / pack.FOLDER).iterdir()) == ["first-1.tar.xz", "third-1.tar.xz"]
    assert "second-1.tar.xz" in capsys.readouterr().out


def test_versions_are_those_of_our_lock():
    found = {package.name: version for package, version in pack.versions(ROOT).items()}
    assert found["diffusers"] in (ROOT / "pyproject.toml").read_text()
    assert all(version[0].isdigit() for version in found.values())
