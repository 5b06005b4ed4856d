"""The note to the user on a choice of objects: what is drawn from, and what of the prompt was not understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.priors.colours import Colour
from backend.priors.grammar import Word, plural, singular
from backend.priors.kit_names import Marks, Naming
from backend.priors.lexicon import BRANDS, MASSES
from backend.priors.phrases import ParsedPrompt

LISTED = 3  # objects that a note names one by one


@dataclass
class Draft:
    """A choice in progress, with what the note will say."""

    parsed: ParsedPrompt
    weights: NDArray[np.float32]
    dyes: dict[int, Colour] = field(default_factory=dict)
    shared: list[Word] = field(default_factory=list)  # descriptions that fit all objects
    partly: list[tuple[str, Marks]] = field(default_factory=list)  # descriptions that fit some
    unmatched: list[str] = field(default_factory=list)  # descriptions that fit none of these, but others of the kind
    readings: list[str] = field(default_factory=list)  # words replaced by others
    ignored: list[str] = field(default_factory=list)  # things and colours that have no effect
    unknown: list[str] = field(default_factory=list)  # words that the kit does not know
    removed: int = 0  # objects, by the negative prompt
    unmatched_negative: list[str] = field(default_factory=list)  # phrases of the negative prompt that fit nothing

    @property
    def chosen(self) -> Marks:
        return self.weights > 0

    def keep(self, marks: Marks) -> None:
        """Keep only these."""
        self.weights = self.weights * marks


def note(draft: Draft, naming: Naming) -> str:
    """The note, in one sentence."""
    clauses = [_draws_from(draft, naming)]
    parsed = draft.parsed
    reads = [f"'{parsed.thing.text}' as '{naming.label(parsed.taken_for)}'"] if parsed.taken_for else []
    for verb, words in (
        ("reads", reads + draft.readings),
        ("none of these is", _quoted(draft.unmatched)),
        ("ignores", _quoted(draft.ignored)),
        ("does not know", _quoted(draft.unknown)),
    ):
        clauses += [f"{verb} {listed(words)}"] * bool(words)
    if draft.removed:
        clauses.append(f"the negative prompt removes {draft.removed}")
    if draft.unmatched_negative:
        clauses.append(f"the negative prompt's {listed(_quoted(draft.unmatched_negative))} matches nothing")
    return "; ".join(clauses) + "."


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _draws_from(draft: Draft, naming: Naming) -> str:
    """The first clause: "Draws from 43 wooden chairs, 31 of them dyed red"."""
    chosen = np.flatnonzero(draft.chosen)
    names = listed(list(dict.fromkeys(f"'{naming.names[number]}'" for number in chosen)))
    if len(chosen) == 1:
        return f"Draws from one object, {names}" + f", dyed {draft.parsed.shade}" * bool(draft.dyes)
    objects = f"{len(chosen)} {_plural_name(draft, naming)}" + f" ({names})" * (len(chosen) <= LISTED)
    parts = [(word, int((marks & draft.chosen).sum())) for word, marks in draft.partly]
    parts += [(f"dyed {draft.parsed.shade}", len(draft.dyes))]
    shares = [f"{'all' if n == len(chosen) else n} of them {word}" for word, n in parts if n]
    return ", ".join([f"Draws from {objects}", *shares])


def _plural_name(draft: Draft, naming: Naming) -> str:
    """A name for all of the objects: "wooden chairs"."""
    thing, taken_for = draft.parsed.thing, draft.parsed.taken_for
    name = naming.label(taken_for) if taken_for else thing.root if thing.root in BRANDS else thing.text
    many = f"pieces of {name}" if thing.root in MASSES else plural(singular(name))
    return " ".join([*(word.text for word in draft.shared if thing.root not in MASSES), many])


def _quoted(words: Sequence[str]) -> list[str]:
    return [f"'{word}'" for word in dict.fromkeys(words)]
