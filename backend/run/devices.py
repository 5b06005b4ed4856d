"""Where a run computes, and why it is not the graphics card where there is one."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from typing import Any

import msgspec
import torch

from backend.cameras import orbit
from backend.cards import CUDAS, Card, ask, numbers, this_processor, why_none_fits
from backend.job.job import JobError
from backend.render.by_gsplat import gsplat_is_built
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings
from backend.terminal import CHECKOUT

CHOICES = "use auto, cpu, cuda or mps"
NEEDED = "cuda-core, and the CUDA libraries that torch for CUDA brings"
MENDS = "Run python build.py setup, which brings what its renderer needs."
HIDDEN = ("", "-1")  # in CUDA_VISIBLE_DEVICES: the user wants no card to be seen


def choose_device(name: str) -> torch.device:
    """ "auto" is the first card that torch can use, else the CPU.  JobError where the device does not exist."""
    if name == "auto":
        index = _first_usable()
        return torch.device("cpu" if index is None else "cuda" if index == 0 else f"cuda:{index}")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise JobError(f"device: {name!r} is not a device; {CHOICES}.") from error
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise JobError("device: mps is Apple's graphics card, and there is none on this machine; use auto or cpu.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise JobError(f"device: {name!r} is not supported; {CHOICES}.")
    if device.type == "cuda":
        _check_card(name, device.index or 0)
    return device


def unused_card(name: str = "auto") -> list[str]:
    """A sentence where "auto" is the CPU although there is an NVIDIA card: why, and what to do about it."""
    return [why] if name == "auto" and (why := _why_not_the_card()) else []


def splats_device(device: torch.device) -> tuple[torch.device, list[str]]:
    """Where splats are drawn beside a prior on a device: there, or on the CPU, and then a sentence that says why."""
    if device.type == "cpu":
        return device, []
    why = "there is no renderer for this kind of card" if device.type != "cuda" else _renderer_fails(device)
    if not why:
        return device, []
    mend = ""
    if device.type == "cuda" and not torch.version.hip:
        mend = f"  {MENDS}" if CHECKOUT else f"  Install {NEEDED}."
    return torch.device("cpu"), [f"The splats are drawn on the CPU, only the prior works on the card: {why}.{mend}"]


def scene_device(scene: str, device: torch.device) -> tuple[torch.device, list[str]]:
    """Where "splats", a "field" or a "mesh" is drawn beside a prior on a device; a sentence where that is elsewhere."""
    if scene == "splats":
        return splats_device(device)
    if device.type in ("cpu", "cuda"):
        return device, []
    why = "torch lacks what it needs on this kind of card"
    return torch.device("cpu"), [f"The {scene} is drawn on the CPU, only the prior works on the card: {why}."]


def renderer(device: torch.device) -> str:
    """What draws the splats of a run on a device, in words."""
    if splats_device(device)[0].type == "cpu":
        return "own kernel on the CPU"
    return "gsplat, which is built" if gsplat_is_built() else "own kernels on the card, which need no compiler"


def has_code_for(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether torch, built for sm_86 and the like, or compute_120 as text for the driver, runs on a card.

    Machine code runs on the same major version from its minor version on; text is compiled for whatever is newer.
    """
    for entry in built_for:
        kind, _, digits = entry.partition("_")
        version = (int(digits[:-1]), int(digits[-1])) if digits.isdigit() else None
        if version and version <= capability and (kind == "compute" or version[0] == capability[0]):
            return True
    return False


def usable_cards() -> dict[int, int]:
    """The cards that torch can use, by their numbers, with their memory in bytes."""
    if not torch.cuda.is_available():
        return {}
    cards = filter(_usable, range(torch.cuda.device_count()))
    return {index: torch.cuda.get_device_properties(index).total_memory for index in cards}


def _first_usable() -> int | None:
    if not torch.cuda.is_available():
        return None
    return next((index for index in range(torch.cuda.device_count()) if _usable(index)), None)


def _usable(index: int) -> bool:
    """Whether torch has code for the card; ROCm's names are of another kind, and its cards are taken as they are."""
    if torch.version.hip:
        return True
    return has_code_for(torch.cuda.get_device_capability(index), torch.cuda.get_arch_list())


def _check_card(name: str, index: int) -> None:
    """JobError where torch cannot use it."""
    if index >= torch.cuda.device_count():
        why = "".join(f"  {sentence}" for sentence in unused_card()) if torch.cuda.device_count() == 0 else ""
        raise JobError(f"device: there is no {name} on this machine; use auto or cpu.{why}")
    if not _usable(index):
        raise JobError(f"device: torch has no code for {torch.cuda.get_device_name(index)}; {_other_torch()}.")


@cache
def _why_not_the_card() -> str:
    """Asked once a process.  Empty where the card is used, hidden, or there is none."""
    if _first_usable() is not None or sys.platform == "darwin":
        return ""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:
        return ""
    answer = ask()
    if not answer.cards:
        trouble = answer.trouble[:1].lower() + answer.trouble[1:]
        return f"The graphics card is not used: {trouble}" if trouble else ""
    card = answer.cards[0]
    return f"The graphics card {card.name} is not used: {reason_for(card, torch.version.cuda)}."


def reason_for(card: Card, cuda: str | None, system: str = platform.system(), processor: str = "") -> str:
    """Why a torch for this CUDA, or for none, does not use the card and what to do, as the end of a sentence."""
    processor = processor or this_processor()
    if none := why_none_fits(card, system, processor):
        return none if cuda else f"{none}, then {_other_torch()}" if "driver" in none else none
    if not cuda:
        return f"torch is here in its build for the CPU; {_other_torch()}"
    ours = next((known for known in CUDAS if known.version.split(".")[0] == cuda.split(".")[0]), None)
    if ours and numbers(card.driver) < ours.driver(system):
        return f"its driver {card.driver} is too old for this torch (CUDA {cuda}); {_other_torch()}"
    if ours and not ours.knows(card, processor):
        return f"this torch (CUDA {cuda}) has no code for it; {_other_torch()}"
    return f"torch (CUDA {cuda}) cannot start on it; restart the machine, or update NVIDIA's driver"


def _other_torch() -> str:
    """What brings a torch that fits."""
    if CHECKOUT:
        return f"run python build.py setup in {CHECKOUT}, which brings one that fits"
    return "install a build of torch for it (pytorch.org, Get Started, says how)"


def report() -> str:
    """What `build.py doctor` says of this environment, as JSON."""
    device = choose_device("auto")
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "device": str(device),
        "renderer": renderer(device),
        "kernels": "" if device.type == "cpu" else _renderer_fails(device),
        "unused": unused_card(),
        "mps": torch.backends.mps.is_available(),
        "cards": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
    return msgspec.json.encode(found).decode()


@cache
def _renderer_fails(device: torch.device) -> str:
    """Why splats cannot be drawn on a card: found out by drawing some, and asked once a process.  Empty if they can."""
    try:
        scene = SplatScene(sphere(16, 0.5, torch.Generator()), SplatSettings(), 1, device)
        scene.render(orbit(1), 32, 32, torch.ones(1, 3)).rgb.sum().backward()  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        return ""  # of that the run itself tells; it says nothing about the renderer
    except Exception as error:  # a missing library, a compiler's message, a driver's refusal
        return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
    return ""
