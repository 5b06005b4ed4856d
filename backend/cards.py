"""NVIDIA's cards of this machine, as `nvidia-smi` tells of them, and which builds of torch run on them.

Needs the standard library alone, and no torch: `build.py` chooses by it what torch to install.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0  # with a driver that hangs, nvidia-smi never ends
COMMAND = "nvidia-smi"
# Where it is beside PATH: Windows, older drivers there, Windows' Linux (WSL2).
PLACES = (
    r"C:\Windows\System32\nvidia-smi.exe",
    r"C:\Program Files\NVIDIA Corporation\NVSMI\nvidia-smi.exe",
    "/usr/lib/wsl/lib/nvidia-smi",
)
FIELDS = ("index", "name", "memory.total", "driver_version")
CAPABILITY = "compute_cap"  # drivers before 510 do not know it
PCI = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"  # vendor and class of a graphics card on Linux
# Kepler and Fermi, which no torch of today runs on.  Their last drivers do not tell the compute capability.
TOO_OLD = re.compile(
    r"GTX? [4-6]\d\d\b|GTX? 7[1-3]\d\b|GTX 7[678]\d\b|GTX TITAN(?! X)|TITAN (Black|Z)\b"
    r"|Tesla (K|M20|C20)|GRID K\d|Quadro (K[3-6]000|K5\d00|K420|410|[4-6]000\b)"
)
Version = tuple[int, ...]


@dataclass(frozen=True)
class Card:
    """One card: its memory in MiB, 0 where nvidia-smi does not say; its compute capability, None where it does not."""

    index: int
    name: str
    mib: int
    driver: str
    capability: tuple[int, int] | None

    @property
    def told(self) -> str:
        """The card in words: name, memory, compute capability."""
        parts = [f"{self.mib / 1024:.1f} GiB"] if self.mib else []
        parts += ["compute capability {}.{}".format(*self.capability)] if self.capability else []
        return f"{self.name} ({', '.join(parts)})" if parts else self.name


@dataclass(frozen=True)
class Answer:
    """The cards; where nvidia-smi is there and fails, `trouble` is a sentence with what to do, and nothing is known."""

    cards: tuple[Card, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Cuda:
    """A CUDA that torch is built for: the oldest driver by platform, the compute capabilities by processor.

    Drivers are from NVIDIA's table of minor version compatibility, capabilities from torch's RELEASE.md for 2.13.
    """

    version: str
    drivers: dict[str, Version]
    capabilities: dict[str, tuple[tuple[int, int], ...]]

    def knows(self, card: Card, processor: str) -> bool:
        """Whether it has code for the card: that of 8.6 runs on 8.9, but not that of 8.9 on 8.6 or 9.0."""
        has = self.capabilities.get(processor, ())
        return card.capability is None or any(
            major == card.capability[0] and minor <= card.capability[1] for major, minor in has
        )

    def driver(self, system: str) -> Version:
        """The oldest driver that it starts with."""
        return self.drivers.get(system, self.drivers["Linux"])

    def runs(self, card: Card, system: str, processor: str) -> bool:
        """Whether it runs on a card with the driver that is there."""
        return (
            card.capability is not None and self.knows(card, processor) and numbers(card.driver) >= self.driver(system)
        )


ARM = ((8, 0), (9, 0))
# The newest first.
CUDAS = (
    Cuda(
        "13.0",
        {"Linux": (580,), "Windows": (580,)},
        {
            "x86_64": ((7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)),
            "aarch64": (*ARM, (10, 0), (11, 0), (12, 0)),
        },
    ),
    Cuda(
        "12.6",
        {"Linux": (525, 60), "Windows": (528, 33)},
        {"x86_64": ((5, 0), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (9, 0)), "aarch64": ARM},
    ),
)


def numbers(version: str) -> Version:
    """580.95.05 as (580, 95, 5); empty where there is none."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def this_processor() -> str:
    """x86_64 or aarch64, whatever the system calls them; others as it does."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())


def why_none_fits(card: Card, system: str, processor: str) -> str:
    """Why no build of torch runs on the card and what to do, as the end of a sentence; empty where one does."""
    if any(cuda.runs(card, system, processor) for cuda in CUDAS):
        return ""
    known = [cuda for cuda in CUDAS if cuda.knows(card, processor)]
    if not known or (card.capability is None and TOO_OLD.search(card.name)):
        return "it is too old for torch, and only a newer graphics card helps"
    needed = ".".join(map(str, min(cuda.driver(system) for cuda in known)))
    return f"its driver {card.driver} is too old for torch; update NVIDIA's driver to {needed} or newer"


def find_nvidia_smi() -> str | None:
    """The program's path, on PATH or where drivers put it."""
    return shutil.which(COMMAND) or next((place for place in PLACES if os.path.isfile(place)), None)


def ask(seconds: float = SECONDS) -> Answer:
    """What nvidia-smi says; no cards and no trouble where there is none and no card of NVIDIA's either."""
    program = find_nvidia_smi()
    if program is None:
        return Answer(trouble=_without_driver())
    code, said = _run(program, (*FIELDS, CAPABILITY), seconds)
    if code and CAPABILITY in said:
        code, said = _run(program, FIELDS, seconds)
    if code == 0:
        return Answer(cards_of(said))
    if "no devices" in said.lower():
        return Answer()
    reason = said.strip().splitlines()[0].strip().rstrip(".") if said.strip() else f"exit code {code}"
    return Answer(
        trouble=f"nvidia-smi fails ({reason}): restart the machine; if that does not help, install NVIDIA's driver."
    )


def cards_of(said: str) -> tuple[Card, ...]:
    """The cards in nvidia-smi's lines of comma-separated values; lines that are none are skipped."""
    cards = []
    for line in said.splitlines():
        index, name, memory, driver, *more = [part.strip() for part in line.split(",")] + [""] * 4
        if index.isdigit() and name and driver:
            capability = numbers(more[0])
            cards.append(
                Card(
                    int(index),
                    name,
                    int(memory) if memory.isdigit() else 0,
                    driver,
                    (capability[0], capability[1]) if len(capability) == 2 else None,
                )
            )
    return tuple(cards)


def _without_driver() -> str:
    """A sentence where Linux sees a card of NVIDIA's on the bus, though there is no driver."""
    for device in sorted(PCI.glob("*")) if PCI.is_dir() else ():
        try:
            vendor, kind = (device / "vendor").read_text(), (device / "class").read_text()
        except OSError:
            continue
        if vendor.strip() == NVIDIA and kind.startswith(DISPLAY):
            return "There is an NVIDIA graphics card without NVIDIA's driver: install the driver."
    return ""


def _run(program: str, fields: tuple[str, ...], seconds: float) -> tuple[int, str]:
    """Exit code and output.  The output goes to a file and a program that hangs is not waited for: while it is inside
    the driver it cannot even be killed."""
    query = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    quiet = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would show a console for a moment
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                query, stdin=subprocess.DEVNULL, stdout=output, stderr=output, creationflags=quiet
            )
            code = process.wait(seconds)
        except OSError as error:
            return 1, error.strerror or str(error)
        except subprocess.TimeoutExpired:
            process.kill()
            return 1, f"no answer within {seconds:g} seconds"
        output.seek(0)
        return code, output.read().decode(errors="replace")
