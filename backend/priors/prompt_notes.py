"""What a choice of objects tells the user: what is drawn from, and what of the sentence was not understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.priors.colours import Colour
from backend.priors.grammar import Word, plural, singular
from backend.priors.kit_names import Marks, Naming
from backend.priors.lexicon import BRANDS, MASSES
from backend.priors.phrases import Wish

LISTED = 3  # objects that a note names one by one


@dataclass
class Draft:
    """A choice in the making, and what there is to tell of it."""

    wish: Wish
    weights: NDArray[np.float32]
    dyes: dict[int, Colour] = field(default_factory=dict)
    said: list[Word] = field(default_factory=list)  # describing words that all have
    some: list[tuple[str, Marks]] = field(default_factory=list)  # describing words that some have
    none: list[str] = field(default_factory=list)  # describing words that none of these has, but others of the kind
    reads: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # things and colours that are not drawn
    unseen: list[str] = field(default_factory=list)  # words that mean nothing here
    taken: int = 0  # objects that the negative prompt took away
    idle: list[str] = field(default_factory=list)  # what the negative prompt says and none has

    @property
    def chosen(self) -> Marks:
        return self.weights > 0

    def keep(self, marks: Marks) -> None:
        """Only these stay."""
        self.weights = self.weights * marks


def note(draft: Draft, naming: Naming) -> str:
    """One sentence."""
    clauses = [_drawn(draft, naming)]
    like = draft.wish.like
    reads = [f"'{draft.wish.thing.said}' as '{naming.label(like)}'"] if like else []
    for verb, words in (
        ("reads", reads + draft.reads),
        ("none of these is", _quoted(draft.none)),
        ("leaves out", _quoted(draft.left)),
        ("never saw", _quoted(draft.unseen)),
    ):
        clauses += [f"{verb} {listed(words)}"] * bool(words)
    if draft.taken:
        clauses.append(f"the negative prompt takes {draft.taken} away")
    if draft.idle:
        clauses.append(f"none has to go for {listed(_quoted(draft.idle))}")
    return "; ".join(clauses) + "."


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _drawn(draft: Draft, naming: Naming) -> str:
    """Draws from 43 wooden chairs, 31 of them dyed red."""
    chosen = np.flatnonzero(draft.chosen)
    names = listed(list(dict.fromkeys(f"'{naming.names[number]}'" for number in chosen)))
    if len(chosen) == 1:
        return f"Draws from one object, {names}" + f", dyed {draft.wish.shade}" * bool(draft.dyes)
    drawn = f"{len(chosen)} {_called(draft, naming)}" + f" ({names})" * (len(chosen) <= LISTED)
    parts = [(word, int((marks & draft.chosen).sum())) for word, marks in draft.some]
    parts += [(f"dyed {draft.wish.shade}", len(draft.dyes))]
    shares = [f"{'all' if n == len(chosen) else n} of them {word}" for word, n in parts if n]
    return ", ".join([f"Draws from {drawn}", *shares])


def _called(draft: Draft, naming: Naming) -> str:
    """What all of the objects are: wooden chairs."""
    thing = draft.wish.thing
    name = naming.label(draft.wish.like) if draft.wish.like else thing.root if thing.root in BRANDS else thing.said
    many = f"pieces of {name}" if thing.root in MASSES else plural(singular(name))
    return " ".join([*(word.said for word in draft.said if thing.root not in MASSES), many])


def _quoted(words: Sequence[str]) -> list[str]:
    return [f"'{word}'" for word in dict.fromkeys(words)]
