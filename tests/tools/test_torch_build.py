"""Setting up the torch that fits a card: real pip, real wheels in folders that stand in for PyPI and torch's index."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from bare_house import front_door
from fake_cards import HANGING, NO_DRIVER, answering, failing, needs_scripts, on_path
from torch_index import PIECE, BreakingIndex, torch_wheel

from backend import cards
from backend.cards import Answer, cards_of
from tools import card
from tools.card import Choice, choose
from tools.doctor_card import card_findings
from tools.environments import Environment, SetUpError, environments
from tools.installing import set_up
from tools.torch_build import announce, check_room, forget_wrong_build, installed_cuda, wrong_build

ROOT = Path(__file__).parents[2]
NEW = "0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9"
OLD = "0, NVIDIA GeForce GTX 1080, 8192, 580.95.05, 6.1"


@pytest.fixture
def indexes(tmp_path, monkeypatch):
    """Folders in place of the indexes: PyPI with torch for CUDA 13.0, torch's own with that for 12.6."""
    pypi, own = tmp_path / "pypi", tmp_path / "own"
    torch_wheel(pypi / "torch", "2.13.0", "13.0")
    torch_wheel(own / "cu126/torch", "2.13.0+cu126", "12.6")
    torch_wheel(own / "cu130/torch", "2.13.0+cu130", "13.0")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", pypi.as_uri())
    monkeypatch.setattr(card, "TORCH_INDEX", own.as_uri() + "/{build}")
    return pypi, own


def for_cards(folder, said, system="Linux"):
    """The environment that such a machine has."""
    choice = choose(Answer(cards_of(said)), system, "x86_64")
    return Environment(folder, {"run": (choice.requirement("torch==2.13.0"),)}, torch=choice)


def test_a_new_card_or_driver_brings_the_torch_that_fits_and_nothing_else_does(tmp_path, indexes, capsys):
    folder = tmp_path / "env"
    old, new = for_cards(folder, OLD), for_cards(folder, NEW)
    set_up(old, "run")
    assert installed_cuda(old) == "12.6"
    told = capsys.readouterr().out
    assert "torch for CUDA 12.6, for NVIDIA GeForce GTX 1080 with driver 580.95.05." in told
    assert "downloads about 3.2 GB, 9 min at 50 Mbit/s" in told
    log = tmp_path / "work/setup.log"
    before = log.read_text()
    set_up(for_cards(folder, OLD.replace("8192", "8191")), "run")
    assert (log.read_text(), capsys.readouterr().out) == (before, "")

    assert not new.ready("run")
    set_up(new, "run")  # 2.13.0 would be content with the 2.13.0+cu126 that is there
    assert installed_cuda(new) == "13.0"
    assert new.ready("run")
    set_up(old, "run")
    assert installed_cuda(old) == "12.6"
    set_up(for_cards(folder, NEW, "Windows"), "run")
    assert installed_cuda(new) == "13.0"


def test_a_download_whose_connection_breaks_goes_on_where_it_was(tmp_path, indexes, monkeypatch):
    """The older pip that comes with Python cannot: a newer one is fetched first."""
    _, own = indexes
    torch_wheel(own / "cu126/torch", "2.13.0+cu126", "12.6", weight=4 * PIECE)
    locks = tmp_path / "locks"
    shutil.copytree(ROOT / "tools/locks", locks)
    (locks / "run.txt").write_text("")
    for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE"):  # as on this machine
        monkeypatch.delenv(name)
    monkeypatch.setattr(BreakingIndex, "folder", own)
    monkeypatch.setattr(BreakingIndex, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), BreakingIndex)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(card, "TORCH_INDEX", f"http://127.0.0.1:{server.server_port}/{{build}}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    environment = replace(for_cards(tmp_path / "env", OLD), locks={"run": locks / "run.txt"})
    try:
        set_up(environment, "run")
    except SetUpError:
        if "Successfully installed pip" not in (tmp_path / "work/setup.log").read_text():
            pytest.skip("pip's index is not in reach")
        raise
    finally:
        server.shutdown()
        server.server_close()
    assert installed_cuda(environment) == "12.6"
    assert sorted(set(BreakingIndex.asked)) == [0, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE]


def test_a_newer_torch_of_the_same_cuda_is_told_and_fetched(tmp_path, indexes, capsys):
    pypi, _ = indexes
    set_up(for_cards(tmp_path / "env", NEW), "run")
    torch_wheel(pypi / "torch", "2.14.0", "13.2")
    newer = replace(for_cards(tmp_path / "env", NEW), groups={"run": ("torch==2.14.0",)})
    capsys.readouterr()
    set_up(newer, "run")
    assert "downloads about 2.7 GB" in capsys.readouterr().out
    assert installed_cuda(newer) == "13.2"
    assert not wrong_build(newer)


def test_a_build_for_the_cpu_in_pips_settings_gives_way_where_there_is_a_card(tmp_path, indexes, monkeypatch):
    torch_wheel(tmp_path / "disk", "2.13.0+cpu", None)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "disk"))
    environment = for_cards(tmp_path / "env", "")
    set_up(environment, "run")
    assert installed_cuda(environment) == ""  # without a card it is as pip's settings have it
    assert not wrong_build(environment)
    set_up(for_cards(tmp_path / "env", NEW), "run")
    assert installed_cuda(environment) == "13.0"


def test_where_the_card_s_build_cannot_be_fetched_the_one_that_is_there_serves(tmp_path, indexes, monkeypatch, capsys):
    pypi, _ = indexes
    torch_wheel(tmp_path / "disk", "2.13.0+cpu", None)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "disk"))
    shutil.rmtree(pypi)
    pypi.mkdir()
    environment = for_cards(tmp_path / "env", NEW)
    set_up(environment, "run")
    assert installed_cuda(environment) == ""
    assert "torch for this card cannot be fetched, so it runs on the CPU" in capsys.readouterr().out
    assert environment.ready("run")
    forget_wrong_build(environment)  # what `setup` does first
    assert not environment.ready("run")
    torch_wheel(pypi / "torch", "2.13.0", "13.0")
    set_up(environment, "run")
    assert installed_cuda(environment) == "13.0"
    forget_wrong_build(environment)
    assert environment.ready("run")


@needs_scripts
def test_the_environment_of_this_machine_is_that_of_its_card(tmp_path, monkeypatch):
    on_path(tmp_path / "old", monkeypatch, answering(OLD))
    backend, _ = environments(ROOT)
    assert "torch==2.13.0+cu126" in backend.groups["run"]
    assert any(line.startswith("cuda-bindings>=12") for line in backend.groups["run"])
    on_path(tmp_path / "new", monkeypatch, answering(NEW))
    other, _ = environments(ROOT)
    assert "torch==2.13.0" in other.groups["run"]
    assert any(line.startswith("cuda-bindings>=13") for line in other.groups["run"])
    assert backend.digest("run") != other.digest("run")


@needs_scripts
@pytest.mark.parametrize("text", [failing(NO_DRIVER), HANGING])
def test_while_nvidia_smi_fails_the_torch_stays_that_was_right_before(house, tmp_path, monkeypatch, text):
    monkeypatch.setattr(cards.ask, "__defaults__", (0.5,))
    on_path(tmp_path / "old", monkeypatch, answering(OLD))
    before, _ = environments(house)
    before.python.parent.mkdir(parents=True)
    before.python.touch()
    before.stamp("run").write_text(before.digest("run"))
    on_path(tmp_path / "failing", monkeypatch, text)
    now, _ = environments(house)
    assert now.groups == before.groups
    assert now.ready("run")
    assert now.torch
    assert "nvidia-smi fails" in now.torch.mend
    before.stamp("run").unlink()
    assert "torch==2.13.0" in environments(house)[0].groups["run"]


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_sentence_before_anything_is_fetched(full_disk):
    environment = for_cards(full_disk / "env", OLD)
    with pytest.raises(SetUpError, match=r"no room for torch on the disk of .*disk: 8\.5 GB are needed .* 0\.0 GB"):
        set_up(environment, "run")
    assert not environment.folder.exists()
    assert (full_disk / "work/setup.log").read_text() == ""


def test_a_full_disk_for_temporary_files_is_told_too(full_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(full_disk))
    monkeypatch.setattr("tools.torch_build.OTHERS", -100.0)  # whatever is free on the machine's disk is enough
    with pytest.raises(SetUpError, match=rf"disk of {full_disk}: 2\.7 GB are needed"):
        check_room(for_cards(tmp_path / "env", NEW))


def test_without_a_card_only_the_smallest_torch_must_find_room(tmp_path, capsys):
    environment = Environment(tmp_path / "env", {"run": ("torch==2.13.0",)}, torch=Choice("", "no NVIDIA card"))
    announce(environment)
    assert "downloads up to 2.7 GB" in capsys.readouterr().out
    announce(replace(environment, torch=None))
    assert capsys.readouterr().out == ""


@pytest.fixture
def this_python(tmp_path):
    """An environment whose Python is this one, with a stamp."""
    environment = replace(environments(ROOT)[0], folder=tmp_path / "env")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    environment.python.chmod(0o755)
    environment.stamp("run").write_text(environment.digest("run"))
    return environment


@needs_scripts
def test_the_doctor_says_what_torch_and_which_renderer_are_used(this_python):
    torch = pytest.importorskip("torch")
    found = {finding.name: finding for finding in card_findings(ROOT, this_python, Answer())}
    assert found["torch"].state.startswith(f"{torch.__version__}, ")
    if not torch.cuda.is_available():
        assert found["runs on"].state.startswith("the CPU")
        assert found["renderer"].state == "own kernel on the CPU"
    assert found["compiler"].state == "none is needed"
    assert not any(finding.mend for finding in found.values())


@needs_scripts
def test_the_doctor_mends_a_build_for_the_cpu_beside_a_card(this_python):
    site = this_python.python.parents[1] / "lib/python3.11/site-packages/torch"
    site.mkdir(parents=True)
    (site / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n")
    answer = Answer(cards_of(NEW))
    environment = replace(this_python, torch=choose(answer, "Linux", "x86_64"))
    environment.stamp("run").write_text(environment.digest("run"))
    found = {finding.name: finding for finding in card_findings(ROOT, environment, answer)}
    assert found["torch"].mend == "python build.py setup"
    assert found["driver"].state == "NVIDIA 580.95.05"


@needs_scripts
def test_set_up_on_a_full_disk_ends_with_the_sentence_and_no_traceback(house, full_disk, tmp_path, monkeypatch):
    on_path(tmp_path / "bin", monkeypatch, answering(NEW))
    monkeypatch.setenv("TMPDIR", str(full_disk))
    answer = front_door(house, "setup")
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"There is no room for torch on the disk of {full_disk}: 2.7 GB are needed")
    assert answer.stderr.count("\n") == 1
    assert not (house / ".venv").exists()
