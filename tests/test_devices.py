"""Where a run computes, and the sentence where it is not the graphics card that is there."""

import re

import pytest
import torch
from fake_cards import NO_DRIVER, answering, failing, needs_scripts, on_path

from backend import cards
from backend.cards import cards_of
from backend.cli.main import main
from backend.job.job import JobError, make_job
from backend.run import devices
from backend.run.devices import choose_device, has_code_for, reason_for, renderer, unused_card
from backend.run.events import Warning
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.service.capabilities import welcome
from backend.terminal import CHECKOUT

(RTX_4090,) = cards_of("0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9")
(GTX_1080,) = cards_of("0, NVIDIA GeForce GTX 1080, 8192, 580.95.05, 6.1")
(RTX_2060,) = cards_of("0, NVIDIA GeForce RTX 2060, 6144, 551.86, 7.5")
(OLD_DRIVER,) = cards_of("0, NVIDIA GeForce GTX 1080, 8192, 516.94, 6.1")
(KEPLER,) = cards_of("0, GeForce GTX 680, 2048, 470.256.02, 3.0")
SET_UP = f"run python build.py setup in {CHECKOUT}, which brings one that fits"
without_card = pytest.mark.skipif(torch.cuda.is_available(), reason="torch uses the card of this machine")


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices._why_not_the_card.cache_clear()
    yield
    devices._why_not_the_card.cache_clear()


@without_card
def test_auto_is_the_cpu_without_a_card():
    assert choose_device("auto") == torch.device("cpu")
    assert renderer(choose_device("auto")) == "own kernel on the CPU"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tpu", "'tpu' is not a device; use auto, cpu, cuda or mps."),
        ("meta", "'meta' is not supported; use auto, cpu, cuda or mps."),
        ("cuda:7", "there is no cuda:7 on this machine; use auto or cpu."),
        pytest.param(
            "mps",
            "mps is Apple's graphics card, and there is none on this machine; use auto or cpu.",
            marks=pytest.mark.skipif(torch.backends.mps.is_available(), reason="a Mac"),
        ),
    ],
)
def test_a_device_that_is_not_there_is_a_sentence(name, words):
    with pytest.raises(JobError, match=re.escape(f"device: {words}")):
        choose_device(name)


def test_apples_card_is_taken_where_torch_has_it_and_photographs_no_kits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")
    assert "mps" in welcome().devices
    assert main(["kit", str(tmp_path / "a.glb"), "--out", str(tmp_path / "kit"), "--device", "mps"]) == 2
    assert "objects are photographed on the CPU or an NVIDIA card; use auto or cpu." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 9), ["sm_75", "sm_80", "sm_86", "sm_90"], True),
        ((6, 1), ["sm_50", "sm_60", "sm_70"], True),
        ((6, 1), ["sm_75", "sm_80", "sm_120"], False),
        ((12, 0), ["sm_80", "sm_86", "sm_90"], False),
        ((12, 1), ["sm_100", "sm_120"], True),
        ((12, 0), ["sm_90", "compute_90"], True),  # text, which the driver compiles
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_90a"], False),
        ((9, 0), [], False),
    ],
)
def test_which_cards_torch_has_code_for(capability, built_for, runs):
    assert has_code_for(capability, built_for) is runs


@pytest.mark.parametrize(
    ("card", "cuda", "system", "reason"),
    [
        (RTX_4090, None, "Windows", f"torch is here in its build for the CPU; {SET_UP}"),
        (RTX_2060, "13.0", "Windows", f"its driver 551.86 is too old for this torch (CUDA 13.0); {SET_UP}"),
        (GTX_1080, "13.0", "Linux", f"this torch (CUDA 13.0) has no code for it; {SET_UP}"),
        (
            RTX_4090,
            "12.6",
            "Linux",
            "torch (CUDA 12.6) cannot start on it; restart the machine, or update NVIDIA's driver",
        ),
        (
            OLD_DRIVER,
            "12.6",
            "Windows",
            "its driver 516.94 is too old for torch; update NVIDIA's driver to 528.33 or newer",
        ),
        (
            OLD_DRIVER,
            None,
            "Windows",
            f"its driver 516.94 is too old for torch; update NVIDIA's driver to 528.33 or newer, then {SET_UP}",
        ),
        (KEPLER, None, "Linux", "it is too old for torch, and only a newer graphics card helps"),
        (KEPLER, "13.0", "Linux", "it is too old for torch, and only a newer graphics card helps"),
    ],
)
def test_why_a_torch_does_not_use_a_card(card, cuda, system, reason):
    assert reason_for(card, cuda, system, "x86_64") == reason


def test_without_the_repository_it_says_where_torchs_builds_are(monkeypatch):
    monkeypatch.setattr(devices, "CHECKOUT", None)
    assert reason_for(RTX_4090, None, "Linux", "x86_64").endswith("(pytorch.org, Get Started, says how)")


@needs_scripts
@without_card
def test_a_run_on_the_cpu_beside_a_card_says_so_once_in_its_events(tmp_path, monkeypatch):
    on_path(tmp_path / "bin", monkeypatch, answering("0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9"))
    job = make_job({"prompt": "a red apple", "recipe": {"views": 1, "steps": 1, "splats": {"initial_count": 40}}})
    session = Session.begin(job, JobFolder(tmp_path / "out"))
    told = [event.text for event in session.steps(1) if isinstance(event, Warning) and "not used" in event.text]
    assert len(told) == 1
    assert told[0].startswith("The graphics card NVIDIA GeForce RTX 4090 is not used: ")
    if torch.version.cuda is None:
        assert told[0].endswith(f"is not used: torch is here in its build for the CPU; {SET_UP}.")
    assert "not used" in (tmp_path / "out/events.jsonl").read_text()
    assert unused_card("cpu") == []  # who chose the CPU knows
    with pytest.raises(JobError, match=r"no cuda on this machine.* The graphics card NVIDIA GeForce RTX 4090"):
        choose_device("cuda")


@needs_scripts
@without_card
@pytest.mark.parametrize("value", ["", "-1"])
def test_a_card_that_the_user_hides_is_not_told_of(tmp_path, monkeypatch, value):
    on_path(tmp_path, monkeypatch, answering("0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert unused_card() == []


@needs_scripts
@without_card
def test_a_driver_that_does_not_answer_is_told(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, failing(NO_DRIVER))
    (sentence,) = unused_card()
    assert sentence.startswith("The graphics card is not used: nvidia-smi fails (")
    assert sentence.endswith("install NVIDIA's driver.")


@without_card
def test_where_there_is_no_card_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cards, "PLACES", ())
    monkeypatch.setattr(cards, "PCI", tmp_path / "none")
    assert unused_card() == []
