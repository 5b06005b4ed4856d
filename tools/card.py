"""Which build of torch fits the graphics cards of this machine, what it weighs, and where pip finds it.

PyPI's torch is for CUDA 13.0 on Linux, and for the CPU on Windows and macOS.  The other builds are in torch's own
index, as its documentation has it.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from backend.cards import CUDAS, Answer, Card, Cuda, ask, find_nvidia_smi, this_processor, why_none_fits

TORCH_INDEX = "https://download.pytorch.org/whl/{build}"
FOR_TORCH = "2.13.0"  # the tables here and in backend/cards.py are of this version
# CUDA's version -> what the build is called there, and our extra in pyproject.toml.
BUILDS = {"13.0": ("cu130", "cuda"), "12.6": ("cu126", "cuda12")}
# GB to download, torch with all that it brings: 13.0 on Linux by the sizes that PyPI lists for 2.13.0, the others by
# those of the wheels.  An update of torch's pin changes them little.
GIGABYTES = {
    ("13.0", "Linux"): 2.74,
    ("12.6", "Linux"): 3.2,
    ("13.0", "Windows"): 2.1,
    ("12.6", "Windows"): 2.7,
    ("", "Linux"): 2.74,
    ("", "Windows"): 0.2,
    ("", "Darwin"): 0.2,
}
NO_CARD = {"Darwin": "a Mac: everything runs on the CPU; --device mps takes a large prior to Apple's graphics card"}
SMALL = 6000  # MiB; a card that is sold with 6 GB has 6,144
WHAT_FITS_A_SMALL_CARD = "fits the embedded prior and kits; Stable Diffusion wants 6 GB or more"


@dataclass(frozen=True)
class Choice:
    """A build of torch: its CUDA, empty for what PyPI has for this platform, whatever that is.

    `why` is a sentence; `mend` is another, with what to do, where there is a card that cannot be used.  Where
    nvidia-smi does not answer, the choice is not `sure`.
    """

    cuda: str
    why: str
    mend: str = ""
    sure: bool = True
    system: str = "Linux"

    @property
    def extra(self) -> str:
        """The extra of pyproject.toml with what our kernels need; empty for none."""
        return BUILDS[self.cuda][1] if self.cuda else ""

    @property
    def index(self) -> str:
        """torch's index where PyPI does not have the build; empty where it does."""
        from_pypi = self.cuda in ("", "13.0" if self.system == "Linux" else "")
        return "" if from_pypi else TORCH_INDEX.format(build=BUILDS[self.cuda][0])

    @property
    def gigabytes(self) -> float:
        """What is downloaded where nothing is there yet."""
        return GIGABYTES.get((self.cuda, self.system), 0.2)

    def requirement(self, line: str) -> str:
        """torch's line of pyproject.toml, for this build: 2.13.0+cu126 would not do for 2.13.0+cu130."""
        return f"{line}+{BUILDS[self.cuda][0]}" if self.index else line


def choose(answer: Answer, system: str = platform.system(), processor: str = "") -> Choice:
    """The newest build that runs on all cards; where none does, the newest that runs on the best one."""
    processor = processor or this_processor()
    if answer.trouble:
        return Choice("", answer.trouble, answer.trouble, sure=False, system=system)
    if not answer.cards:
        return Choice("", NO_CARD.get(system, "no NVIDIA card: everything runs on the CPU"), system=system)
    usable = [card for card in answer.cards if not why_none_fits(card, system, processor)]
    if not usable:
        first = answer.cards[0]
        reason = f"{first.name} is not used: {why_none_fits(first, system, processor)}."
        return Choice("", reason, reason, system=system)
    best = max(usable, key=lambda card: card.capability or (0, 0))
    for cards in (usable, [best]):
        for cuda in CUDAS:
            if all(cuda.runs(card, system, processor) for card in cards):
                return Choice(cuda.version, _why(cuda, answer.cards, cards), system=system)
    raise AssertionError("the best card is usable")


def _why(cuda: Cuda, cards: Sequence[Card], used: Sequence[Card]) -> str:
    left = [card.name for card in cards if card not in used]
    names = ", ".join(dict.fromkeys(card.name for card in used))
    unused = f"; {', '.join(left)} cannot be used beside it" if left else ""
    return f"torch for CUDA {cuda.version}, for {names} with driver {used[0].driver}{unused}"


def this_machine() -> Choice:
    """The choice here."""
    return choose(asked())


def asked() -> Answer:
    """What nvidia-smi says here."""
    return _answer(find_nvidia_smi())


@cache
def _answer(_program: str | None) -> Answer:
    """Asked once a process, as the environments are asked for several times."""
    return ask()
