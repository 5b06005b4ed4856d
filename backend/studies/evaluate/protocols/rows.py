"""The rows of a protocol's table: a method's figures, ours or published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from rich.progress import track

from backend.errors import UserError
from backend.studies.evaluate.protocols.subjects import Subject
from backend.terminal import LINE_SECONDS, console, say, skipped


@dataclass(frozen=True)
class Row:
    """One method.  `values` by column; `source` says where a published row was read, or what ours is made of."""

    method: str
    values: dict[str, float]
    source: str
    ours: bool = False


@dataclass(frozen=True)
class Plan:
    """How a protocol looks and what it may use."""

    folder: Path  # for the records
    side: int = 512  # of the pictures, in pixels
    views: int = 120  # on a circle
    samples: bool = True  # whether the prior is asked for its own pictures
    prompts: Path | None = None  # T3Bench's prompts, or other sets
    notes: list[str] = field(default_factory=list)  # sentences for the end


def each(subjects: Sequence[Subject], evaluate: Callable[[Subject], None], what: str) -> None:
    """Evaluate them one by one, with a progress bar or, without a terminal, a line now and then.

    One that cannot be evaluated is reported and left out.
    """
    said = time.monotonic()
    for number, subject in enumerate(track(subjects, what, console=console, transient=True)):
        if not console.is_terminal and time.monotonic() > said + LINE_SECONDS:
            say(f"{what}: {number} of {len(subjects)}")
            said = time.monotonic()
        try:
            evaluate(subject)
        except UserError as error:
            skipped(str(error))


def by_method(subjects: Iterable[Subject]) -> dict[str, list[Subject]]:
    """The subjects of each method, in their order."""
    found: dict[str, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(subject.method, []).append(subject)
    return found


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that there are; None of none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def known(values: dict[str, float | None]) -> dict[str, float]:
    """Those that there are."""
    return {name: value for name, value in values.items() if value is not None}


def counted(number: int, thing: str) -> str:
    """ "1 prompt", "2 prompts"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
