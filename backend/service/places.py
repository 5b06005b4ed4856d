"""Where the jobs of a server run on this machine: one worker process for each graphics card, or some on the CPU.

By default a job that names no card takes the card with the most memory that is free.  A card with less than half of the
best one's memory is left to jobs that name it: it is often there for the screen alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.errors import UserError
from backend.run.devices import HIDDEN, usable_cards

VISIBLE = "CUDA_VISIBLE_DEVICES"
HIDE_CARDS = {VISIBLE: HIDDEN[0]}
LIKE_THE_BEST = 0.5  # of its memory


class PlacesError(UserError):
    """Options that no worker can be started with: one sentence."""


@dataclass(frozen=True)
class Place:
    """One worker process: the device in it, as jobs name it, and what is added to its environment.

    "auto" is a process that sees every device.  Without `for_any` it takes only jobs that name its device.
    """

    device: str = "auto"
    environment: dict[str, str] = field(default_factory=dict)
    for_any: bool = True

    def takes(self, device: str) -> bool:
        """Whether a job that names this device can run here."""
        if self.device in ("auto", device):
            return True
        return self.for_any and device in ("auto", "cpu", "mps", *(["cuda"] if self.device != "cpu" else []))

    def name_here(self, device: str) -> str:
        """What the process calls a device that the job names: it sees one card, which is the first there."""
        return "cuda" if self.device.startswith("cuda:") and device.startswith("cuda") else device


def choose_places(devices: str = "auto", workers: int = 1, environment: dict[str, str] | None = None) -> list[Place]:
    """The places for `serve --devices --workers`: "auto", "cpu" or cards as "cuda:0,cuda:1"; the best first.

    `environment` is that of the server, where some cards may be hidden.  Raises PlacesError where a device cannot be
    used, or more than one worker is wanted on a card.
    """
    seen = environment if environment is not None else dict(os.environ)
    memory = usable_cards()
    if devices == "auto":
        places = places_on(memory, seen) if len(memory) > 1 else [Place()]
    elif devices == "cpu":
        places, memory = [Place("cpu", HIDE_CARDS)], {}
    else:
        places, memory = _named(devices, memory, seen), memory or {0: 0}
    if workers == 1:
        return places
    if workers < 1:
        raise PlacesError(f"workers: {workers} is no number of workers; use 1 or more.")
    if memory:
        raise PlacesError("workers: each graphics card runs one job at a time; add --devices cpu for jobs on the CPU.")
    return places * workers


def places_on(memory: dict[int, int], environment: dict[str, str]) -> list[Place]:
    """A place for each card, the one with the most memory first; `memory` is that of each card by its number."""
    least = LIKE_THE_BEST * max(memory.values())
    best_first = sorted(memory, key=lambda card: -memory[card])  # of equals the first, which CUDA takes for the fastest
    return [_card(card, environment, memory[card] >= least) for card in best_first]


def _named(devices: str, memory: dict[int, int], environment: dict[str, str]) -> list[Place]:
    names = [name.strip() for name in devices.split(",")]
    for name in names:
        number = name.removeprefix("cuda:")
        if not name.startswith("cuda:") or not number.isdecimal():
            raise PlacesError(f"devices: {name!r} cannot be used; name auto, cpu, or cards as cuda:0,cuda:1.")
        if int(number) not in memory:
            there = ", ".join(f"cuda:{card}" for card in memory) or "no graphics card"
            raise PlacesError(f"devices: {name} is not a card that torch can use here; there is {there}.")
    if len(set(names)) < len(names):
        raise PlacesError("devices: a card is named twice; each runs one job at a time.")
    return [_card(int(name.removeprefix("cuda:")), environment, True) for name in names]


def _card(number: int, environment: dict[str, str], for_any: bool) -> Place:
    """The place on a card, which may be one of those that the server itself was given."""
    given = [name.strip() for name in environment.get(VISIBLE, "").split(",") if name.strip()]
    return Place(f"cuda:{number}", {VISIBLE: given[number] if given else str(number)}, for_any)


def device_names(places: Sequence[Place]) -> tuple[str, ...]:
    """The devices that a job may name; () where that is every device of the machine."""
    if any(place.device == "auto" for place in places):
        return ()
    return tuple(dict.fromkeys(("auto", "cpu", *(place.device for place in places))))
