"""Which torch fits: the answers of nvidia-smi on machines that we do not have, by real programs on PATH."""

import time
import tomllib
from pathlib import Path

import pytest
from bare_house import front_door
from fake_cards import HANGING, NO_DRIVER, answering, failing, needs_scripts, on_path

from backend import cards
from backend.cards import Answer, Card, ask, cards_of, find_nvidia_smi, why_none_fits
from tools import card as card_module
from tools.card import TORCH_INDEX, choose

CU126, CU130 = (TORCH_INDEX.format(build=build) for build in ("cu126", "cu130"))
RTX_4090 = "0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9"
GTX_1080 = "0, NVIDIA GeForce GTX 1080, 8192, {driver}, 6.1"

# The machine; its system; what nvidia-smi prints; torch's CUDA, and the index where PyPI does not have it.
FITS = [
    ("RTX 4090, Linux", "Linux", RTX_4090, "13.0", ""),
    ("RTX 4090, Windows", "Windows", RTX_4090.replace("580.95.05", "581.57"), "13.0", CU130),
    ("RTX 5090, Linux", "Linux", "0, NVIDIA GeForce RTX 5090, 32607, 580.82.09, 12.0", "13.0", ""),
    ("RTX 5090, Windows", "Windows", "0, NVIDIA GeForce RTX 5090, 32607, 591.44, 12.0", "13.0", CU130),
    ("GTX 1080, new driver, Linux", "Linux", GTX_1080.format(driver="580.95.05"), "12.6", CU126),
    ("GTX 1080, new driver, Windows", "Windows", GTX_1080.format(driver="581.57"), "12.6", CU126),
    ("RTX 2060, driver 551, Windows", "Windows", "0, NVIDIA GeForce RTX 2060, 6144, 551.86, 7.5", "12.6", CU126),
    ("RTX 2060, driver 550, Linux", "Linux", "0, NVIDIA GeForce RTX 2060, 6144, 550.144.03, 7.5", "12.6", CU126),
    ("GTX 1650 with 4 GB", "Windows", "0, NVIDIA GeForce GTX 1650, 4096, 581.15, 7.5", "13.0", CU130),
    ("H100", "Linux", "0, NVIDIA H100 80GB HBM3, 81559, 580.65.06, 9.0", "13.0", ""),
    ("H100, driver 535", "Linux", "0, NVIDIA H100 80GB HBM3, 81559, 535.183.01, 9.0", "12.6", CU126),
    ("WSL2", "Linux", "0, NVIDIA GeForce RTX 3060, 12288, 591.59, 8.6", "13.0", ""),
    ("V100", "Linux", "0, Tesla V100-SXM2-16GB, 16384, 580.65.06, 7.0", "12.6", CU126),
    ("two cards", "Linux", f"{RTX_4090}\n1, NVIDIA RTX A2000, 6138, 580.95.05, 8.6", "13.0", ""),
    ("two cards, one old", "Linux", f"{RTX_4090}\n1, NVIDIA GeForce GTX 1080, 8192, 580.95.05, 6.1", "12.6", CU126),
    ("no build for both", "Linux", f"{GTX_1080.format(driver='580.95')}\n1, RTX 5090, 32607, 580.95, 12.0", "13.0", ""),
    ("memory not told", "Linux", "0, NVIDIA A100-SXM4-40GB MIG 1g.5gb, [N/A], 580.65.06, 8.0", "13.0", ""),
]


@pytest.mark.parametrize(("system", "said", "cuda", "index"), [row[1:] for row in FITS], ids=[row[0] for row in FITS])
def test_the_torch_that_fits_the_cards(system, said, cuda, index):
    choice = choose(Answer(cards_of(said)), system, "x86_64")
    assert (choice.cuda, choice.index, choice.mend) == (cuda, index, "")
    build = index.rpartition("/")[2]
    assert choice.requirement("torch==2.13.0") == (f"torch==2.13.0+{build}" if build else "torch==2.13.0")
    assert choice.extra == {"13.0": "cuda", "12.6": "cuda12"}[cuda]


TOO_OLD_DRIVER = "its driver {} is too old for torch; update NVIDIA's driver to {} or newer"
TOO_OLD_CARD = "it is too old for torch, and only a newer graphics card helps"
NO_TORCH = [
    (
        "GTX 1080, old driver, Linux",
        "Linux",
        "0, GeForce GTX 1080, 8119, 470.256.02, ",
        TOO_OLD_DRIVER.format("470.256.02", "525.60"),
    ),
    (
        "GTX 1080, old driver, Windows",
        "Windows",
        GTX_1080.format(driver="516.94"),
        TOO_OLD_DRIVER.format("516.94", "528.33"),
    ),
    (
        "RTX 5090, driver of CUDA 12.8",
        "Linux",
        "0, RTX 5090, 32607, 570.133.07, 12.0",
        TOO_OLD_DRIVER.format("570.133.07", "580"),
    ),
    ("Kepler, no capability told", "Linux", "0, GeForce GTX 680, 2048, 470.256.02, ", TOO_OLD_CARD),
    ("Kepler, capability told", "Linux", "0, Tesla K80, 11441, 470.256.02, 3.7", TOO_OLD_CARD),
]


@pytest.mark.parametrize(("system", "said", "mend"), [row[1:] for row in NO_TORCH], ids=[row[0] for row in NO_TORCH])
def test_where_no_torch_fits_it_is_the_one_for_the_cpu_and_a_sentence_says_what_to_do(system, said, mend):
    choice = choose(Answer(cards_of(said)), system, "x86_64")
    assert (choice.cuda, choice.index, choice.extra, choice.sure) == ("", "", "", True)
    assert choice.mend == choice.why == f"{cards_of(said)[0].name} is not used: {mend}."
    assert choice.requirement("torch==2.13.0") == "torch==2.13.0"


def test_a_card_that_cannot_be_used_beside_a_good_one_is_named():
    choice = choose(Answer(cards_of(f"{RTX_4090}\n1, GeForce GT 710, 2048, 580.95.05, 3.5")), "Linux", "x86_64")
    assert choice.cuda == "13.0"
    assert choice.why.endswith("GeForce GT 710 cannot be used beside it")


@pytest.mark.parametrize(("system", "words"), [("Darwin", "--device mps"), ("Linux", "no NVIDIA card")])
def test_without_a_card_it_is_what_pypi_has(system, words):
    choice = choose(Answer(), system, "x86_64")
    assert (choice.cuda, choice.index, choice.extra, choice.mend, choice.sure) == ("", "", "", "", True)
    assert words in choice.why


def test_on_arm_torch_has_fewer_builds():
    spark = cards_of("0, NVIDIA GB10, [N/A], 580.95.05, 12.1")
    assert choose(Answer(spark), "Linux", "aarch64").cuda == "13.0"
    turing = cards_of("0, NVIDIA T4G, 15360, 580.95.05, 7.5")
    assert choose(Answer(turing), "Linux", "aarch64").cuda == ""


@needs_scripts
def test_the_cards_as_the_program_tells_them(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, answering(RTX_4090, "1, NVIDIA GeForce GTX 1650, 4096, 580.95.05, 7.5"))
    first, second = ask().cards
    assert first == Card(0, "NVIDIA GeForce RTX 4090", 24564, "580.95.05", (8, 9))
    assert second.told == "NVIDIA GeForce GTX 1650 (4.0 GiB, compute capability 7.5)"


@needs_scripts
def test_an_old_program_that_knows_no_compute_capability_is_asked_without(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, answering("0, GeForce GTX 1080, 8119, 472.12, 6.1", old=True))
    answer = ask()
    assert answer.cards == (Card(0, "GeForce GTX 1080", 8119, "472.12", None),)
    assert why_none_fits(answer.cards[0], "Windows", "x86_64") == TOO_OLD_DRIVER.format("472.12", "528.33")


@needs_scripts
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (failing(NO_DRIVER), "couldn't communicate with the NVIDIA driver"),
        (failing("Failed to initialize NVML: Driver/library version mismatch", 18), "version mismatch"),
        (failing("", 3), "exit code 3"),
        ("no program", "Exec format error"),
    ],
)
def test_a_program_that_fails_is_a_sentence(tmp_path, monkeypatch, text, words):
    on_path(tmp_path, monkeypatch, text)
    answer = ask()
    assert answer.cards == ()
    assert answer.trouble.startswith("nvidia-smi fails (")
    assert words in answer.trouble
    assert answer.trouble.endswith("restart the machine; if that does not help, install NVIDIA's driver.")
    assert not choose(answer, "Linux", "x86_64").sure


@needs_scripts
def test_a_program_that_hangs_is_left_alone(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, HANGING)
    began = time.monotonic()
    assert "no answer within 0.5 seconds" in ask(0.5).trouble
    assert time.monotonic() - began < 5


@needs_scripts
def test_a_driver_without_cards_is_no_trouble(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, failing("No devices were found", 6))
    assert ask() == Answer()


@pytest.fixture
def no_program(tmp_path, monkeypatch):
    """Nothing called nvidia-smi, and an empty bus; the folder of the bus."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cards, "PLACES", ())
    monkeypatch.setattr(cards, "PCI", tmp_path / "pci")
    return tmp_path / "pci"


def device(bus, name, vendor, kind):
    (bus / name).mkdir(parents=True)
    (bus / name / "vendor").write_text(f"{vendor}\n")
    (bus / name / "class").write_text(f"{kind}\n")


def test_no_program_and_nothing_on_the_bus_is_no_card(no_program):
    assert ask() == Answer()
    device(no_program, "0000:00:02.0", "0x8086", "0x030000")  # Intel's
    device(no_program, "0000:01:00.1", "0x10de", "0x040300")  # the sound of one of NVIDIA's
    assert ask() == Answer()


def test_a_card_without_its_driver_is_told(no_program):
    device(no_program, "0000:01:00.0", "0x10de", "0x030000")
    answer = ask()
    assert answer.trouble == "There is an NVIDIA graphics card without NVIDIA's driver: install the driver."
    assert choose(answer, "Linux", "x86_64").cuda == ""


def test_the_program_is_found_where_drivers_put_it(tmp_path, monkeypatch):
    place = tmp_path / "lib" / "nvidia-smi"
    place.parent.mkdir()
    place.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cards, "PLACES", (str(tmp_path / "missing"), str(place)))
    assert find_nvidia_smi() == str(place)


def test_the_tables_are_of_the_torch_that_is_pinned():
    """A new torch may be for another CUDA, other cards and drivers: see its RELEASE.md, then change both files."""
    (torch,) = [line for line in requirements_of_run() if line.startswith("torch==")]
    assert torch == f"torch=={card_module.FOR_TORCH}"
    assert set(card_module.BUILDS) == {cuda.version for cuda in cards.CUDAS}


def requirements_of_run():
    project = tomllib.loads((Path(card_module.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert {extra for _, extra in card_module.BUILDS.values()} <= set(project["optional-dependencies"])
    return project["dependencies"]


def test_torchs_index_is_the_only_address_in_the_tools():
    root = Path(card_module.__file__).parents[1]
    texts = [
        file.read_text() for file in (*(root / "tools").glob("*.py"), root / "build.py", root / "backend/cards.py")
    ]
    assert sum(text.count("download.pytorch.org") for text in texts) == 1
    assert not any("pypi.org" in text or "nvidia.com" in text for text in texts)


@needs_scripts
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (answering("0, NVIDIA GeForce GTX 1650, 4096, 581.15, 7.5"), "Stable Diffusion wants 6 GB or more"),
        (answering(RTX_4090, RTX_4090.replace("0,", "1,", 1)), "--device cuda:1 takes the next"),
        (answering(RTX_4090), "torch for CUDA 13.0, for NVIDIA GeForce RTX 4090 with driver 580.95.05"),
        (answering("0, GeForce GTX 680, 2048, 470.256.02, 3.0", old=True), "only a newer graphics card helps"),
        (answering("0, GeForce GTX 980, 4096, 470.256.02, 5.2", old=True), "update NVIDIA's driver to"),
        (failing(NO_DRIVER), "restart the machine"),
    ],
)
def test_the_doctor_tells_of_the_cards(house, tmp_path, monkeypatch, text, words):
    on_path(tmp_path / "bin", monkeypatch, text)
    answer = front_door(house, "doctor")
    assert words in answer.stdout
    assert answer.stdout.count("python build.py setup") == 1
    assert answer.stderr == ""
