"""Words choose and weigh the objects of a kit, and say which are to be dyed: pi_k(y) of the closed-form prior.

The head noun says which objects are in, what describes it which of them weigh; a colour prefers objects that have it
and dyes the others.  All that was not understood is told.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.priors.base import PriorError
from backend.priors.colours import Colour, colour_of, difference, metallic, wooden
from backend.priors.grammar import Word, chunks_of, kinds, plural, singular
from backend.priors.lexicon import ADJECTIVES, COMPOUNDS, NEGATIVE_FLUFF
from backend.priors.naming import Marks, Naming
from backend.priors.wishes import NEAR, Vocabulary, Wish, is_fluff, read_wish
from backend.priors.words import WordTable

FEW = 4  # objects that carry an adjective; where there are fewer, the others stay in
CARRIED = 8.0  # an adjective's weight
LONGER = 0.5  # weight of "chair with cushion" where a chair was asked for
OWN_COLOUR = 4.0  # weight of objects that need no dye
SAME_COLOUR = 0.09  # difference up to which a colour is the one that was asked for
LISTED = 3  # objects that a note names one by one
MATERIALS = {"wood": wooden, "metal": metallic}
PEOPLE = kinds("person")
SKIN = frozenset(["black", "white", "brown"])  # said of people it is no dye


@dataclass(frozen=True)
class Choice:
    """Objects for a sentence."""

    weights: NDArray[np.float32]  # (N,) >= 0, one an object, 0: not chosen; the largest is 1.  pi_k up to a factor
    dyes: dict[int, Colour]  # object number -> sRGB that its main colour is to become
    notes: list[str]  # sentences to tell the user


@dataclass
class _Draft:
    """A choice in the making."""

    wish: Wish
    weights: NDArray[np.float32]
    dyes: dict[int, Colour] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # words that mean nothing here
    left: list[str] = field(default_factory=list)  # things and colours that are not drawn
    taken: int = 0  # objects that the negative prompt took away
    idle: list[str] = field(default_factory=list)  # words of the negative prompt that took none

    @property
    def chosen(self) -> Marks:
        return self.weights > 0

    def keep(self, marks: Marks) -> None:
        """Only these stay."""
        self.weights = self.weights * marks


class Chooser:
    """Chooses among N objects by their names, main `colours` (N,3) sRGB in [0,1] and `shares` (N,) of those."""

    def __init__(
        self,
        names: Sequence[str],
        colours: NDArray[np.floating],
        shares: NDArray[np.floating],
        table: WordTable,
    ) -> None:
        if not len(names) == len(colours) == len(shares):
            raise ValueError(
                f"{len(names)} names, {len(colours)} colours and {len(shares)} shares do not belong together"
            )
        self.naming, self.table = Naming(names), table
        self.colours, self.shares = np.asarray(colours, np.float32), np.asarray(shares, np.float32)
        self._vocabulary = Vocabulary(self.naming.heads, table)

    def understands(self, text: str) -> bool:
        """Whether a sentence names anything of the kit."""
        return read_wish(text, self._vocabulary) is not None

    def choose(self, prompt: str, negative: str = "") -> Choice:
        """Objects for a prompt, less those that the negative prompt names.

        Raises:
            PriorError: nothing was understood (near names are offered), or nothing is left.
        """
        wish = read_wish(prompt, self._vocabulary)
        if wish is None:
            names = ", ".join(self.naming.suggest(prompt, self.table))
            raise PriorError(f'prompt "{_short(prompt)}" names nothing that the prior knows: try one of {names}')
        draft = _Draft(wish, self.naming.headed(wish.roots).astype(np.float32))
        for word in wish.described:
            self._describe(draft, word)
        for word in wish.after:
            self._specify(draft, word)
        if not wish.after:
            draft.weights[self.naming.longer] *= LONGER
        self._colour(draft)
        self._take_away(draft, negative)
        if not draft.chosen.any():
            raise PriorError(
                f'negative prompt "{_short(negative)}" takes away all that the prior knows of '
                f'"{_short(prompt)}": say less of it'
            )
        weights = (draft.weights / draft.weights.max()).astype(np.float32)
        dyes = {number: colour for number, colour in draft.dyes.items() if weights[number] > 0}
        return Choice(weights, dyes, [_note(draft, dyes, self.naming)])

    def _describe(self, draft: _Draft, word: Word) -> None:
        """A word before the thing: an adjective weighs, a noun ("office" chair) chooses."""
        carries = self._carries(word) & draft.chosen
        if word.root in ADJECTIVES:
            material = next((MATERIALS[m] for m in MATERIALS if m in ADJECTIVES[word.root]), None)
            if material is not None:
                carries |= material(self.colours) & draft.chosen
            if carries.any():
                draft.weights[~carries] *= 0 if carries.sum() >= FEW else 1 / CARRIED
                return
        elif carries.any():
            draft.keep(carries)
            return
        if not is_fluff(word):
            self._guess(draft, word)

    def _guess(self, draft: _Draft, word: Word) -> None:
        """A describing word that no name carries: perhaps one means nearly that."""
        near = self.table.near(word.said, self.naming.words(draft.chosen), NEAR)
        if near is None:
            (draft.left if self._vocabulary.exact(word) else draft.unseen).append(word.said)
            return
        draft.reads.append(f"'{word.said}' as '{near}'")
        draft.keep(self.naming.carrying([near]))

    def _specify(self, draft: _Draft, word: Word) -> None:
        """A word after the thing, as the fruit of a bowl: names that carry it are meant, else it is left out."""
        carries = self._carries(word) & draft.chosen
        if carries.any():
            draft.keep(carries)
        else:
            (draft.left if self._vocabulary.exact(word) else draft.unseen).append(word.said)

    def _carries(self, word: Word) -> Marks:
        others = ADJECTIVES.get(word.root, frozenset()) | COMPOUNDS.get(word.root, frozenset())
        return self.naming.carrying(kinds(word.root) | others)

    def _colour(self, draft: _Draft) -> None:
        """Prefer what has the colour, dye the rest."""
        wish = draft.wish
        draft.left += [word.said for word in wish.left]
        if wish.colour is None or (wish.shade in SKIN and wish.roots <= PEOPLE):
            return
        named = self.naming.carrying([wish.shade]) & draft.chosen
        same = difference(self.colours, wish.colour) < SAME_COLOUR
        draft.weights[same | named] *= OWN_COLOUR
        draft.weights[~same] *= np.maximum(self.shares[~same], 0.2)  # of the rest, the dye changes that share
        draft.dyes = {int(number): wish.colour for number in np.flatnonzero(draft.chosen & ~same)}

    def _take_away(self, draft: _Draft, negative: str) -> None:
        before = int(draft.chosen.sum())
        for word in (word for chunk in chunks_of(negative) for word in chunk.words):
            colour = colour_of(word.root)
            marks = self._carries(word)
            if colour is not None:
                dyed = np.isin(np.arange(len(marks)), list(draft.dyes))
                marks = marks | (difference(self.colours, colour) < SAME_COLOUR) & ~dyed
            for material in (m for m in MATERIALS if m in ADJECTIVES.get(word.root, ())):
                marks = marks | MATERIALS[material](self.colours)
            if not (marks & draft.chosen).any() and not is_fluff(word) and word.root not in NEGATIVE_FLUFF:
                draft.idle.append(word.said)
            draft.keep(~marks)
        draft.taken = before - int(draft.chosen.sum())


def _note(draft: _Draft, dyes: dict[int, Colour], naming: Naming) -> str:
    """What is drawn from, and what was not understood."""
    chosen = np.flatnonzero(draft.chosen)
    names = list(dict.fromkeys(f"'{naming.names[number]}'" for number in chosen))
    thing = naming.label(draft.wish.like) if draft.wish.like else draft.wish.thing.said
    drawn = f"{len(chosen)} {plural(singular(thing))}" if len(chosen) > 1 else f"one {singular(thing)}"
    if len(chosen) <= LISTED:
        drawn += f" ({_listed(names)})"
    clauses = [f"Draws from {drawn}"]
    if dyes:
        count = (
            "all of them" if len(dyes) == len(chosen) > 1 else f"{len(dyes)} of them" if len(chosen) > 1 else "it is"
        )
        clauses[0] += f", {count} dyed {draft.wish.shade}"
    reads = ([f"'{draft.wish.thing.said}' as '{thing}'"] if draft.wish.like else []) + draft.reads
    for verb, words in (("reads", reads), ("leaves out", _quoted(draft.left)), ("never saw", _quoted(draft.unseen))):
        clauses += [f"{verb} {_listed(words)}"] * bool(words)
    if draft.taken:
        clauses.append(f"the negative prompt takes {draft.taken} away")
    if draft.idle:
        clauses.append(f"nothing is taken away for {_listed(_quoted(draft.idle))}")
    return "; ".join(clauses) + "."


def _quoted(words: Sequence[str]) -> list[str]:
    return [f"'{word}'" for word in dict.fromkeys(words)]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _short(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder="…")
