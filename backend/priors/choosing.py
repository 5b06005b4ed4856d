"""Chooses and weights the objects of a kit by the prompt, and which are dyed: pi_k(y) of the closed-form prior.

The head noun selects objects and its descriptions narrow them down; a colour prefers objects that have it and dyes the
others.  Everything that was not understood is reported (`backend.priors.prompt_notes`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.priors.base import PriorError
from backend.priors.colours import Colour, colour_of, metallic, same_colour, wooden
from backend.priors.grammar import Word, chunks_of, kinds
from backend.priors.kit_names import Marks, Naming
from backend.priors.lexicon import ADJECTIVES, COMPOUNDS, NEGATIVE_FLUFF, SIZES, WIDER
from backend.priors.phrases import NEAR, ParsedPrompt, Vocabulary, is_fluff, parse_prompt
from backend.priors.prompt_notes import Draft, note
from backend.priors.words import WordTable

FEW = 4  # if fewer names say "wooden", objects that look wooden count as well
PREFERRED = 2.0  # weight of objects that have the requested size, or the requested colour undyed
LONGER = 0.5  # weight of "chair with cushion" for the prompt "chair"
FAINT = 0.25  # smallest weight, relative to the largest, that is chosen: scores override smaller ones
MATERIALS = {"wood": wooden, "metal": metallic}
PEOPLE = kinds("person")
SKIN = frozenset(["black", "white", "brown"])  # for people these are not dyes


class UnknownThingError(PriorError):
    """A prompt for which a kit has no object."""


@dataclass(frozen=True)
class Choice:
    """The objects for a prompt."""

    weights: NDArray[np.float32]  # (N,) >= 0, one per object, 0: not chosen; the largest is 1.  pi_k up to a factor
    dyes: dict[int, Colour]  # object number -> new sRGB of its main colour
    notes: list[str]  # sentences for the user


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
            raise ValueError(f"{len(names)} names, {len(colours)} colours and {len(shares)} shares do not match")
        self.naming, self.table = Naming(names), table
        self.colours, self.shares = np.asarray(colours, np.float32), np.asarray(shares, np.float32)
        self._vocabulary = Vocabulary(self.naming.heads, table)

    def understands(self, text: str) -> bool:
        """Whether a text names anything in the kit."""
        return parse_prompt(text, self._vocabulary) is not None

    def choose(self, prompt: str, negative: str = "") -> Choice:
        """Objects for a prompt, without those that the negative prompt names.

        Raises:
            UnknownThingError: nothing was understood (similar names are suggested), or nothing is left.
        """
        parsed = parse_prompt(prompt, self._vocabulary)
        if parsed is None:
            names = ", ".join(self.naming.suggest(prompt, self.table))
            raise UnknownThingError(f'prompt "{_short(prompt)}" names nothing that the prior knows: try one of {names}')
        draft = Draft(parsed, self.naming.headed(parsed.roots).astype(np.float32))
        self._describe(draft)
        self._specify(draft)
        self._colour(draft)
        self._remove(draft, negative)
        if not draft.chosen.any():
            raise UnknownThingError(
                f'negative prompt "{_short(negative)}" removes all objects for "{_short(prompt)}": make it shorter'
            )
        draft.keep(draft.weights >= FAINT * draft.weights.max())
        draft.dyes = {number: colour for number, colour in draft.dyes.items() if draft.chosen[number]}
        return Choice((draft.weights / draft.weights.max()).astype(np.float32), draft.dyes, [note(draft, self.naming)])

    def _describe(self, draft: Draft) -> None:
        """Narrow down by words before the thing: nouns first ("office" chair), then adjectives in names, then looks."""
        kind = draft.chosen

        def rank(word: Word) -> int:
            return 0 if word.root not in ADJECTIVES else 1 if self._named(word, kind).any() else 2

        for word in sorted(draft.parsed.descriptions, key=rank):
            has = self._has(word, draft.chosen)
            if has.any() and word.root in SIZES:
                draft.weights[has] *= PREFERRED
                draft.partly.append((word.text, has))
            elif has.any():
                draft.keep(has)
                draft.shared.append(word)
            elif self._has(word, kind).any():
                draft.unmatched.append(word.text)
            elif not is_fluff(word):
                self._guess(draft, word)

    def _guess(self, draft: Draft, word: Word) -> None:
        """Handle a description that is in no name: try a wider kind of thing, then a word of similar meaning."""
        for other in WIDER.get(draft.parsed.thing.root, ()):
            wider = self._named(word, self.naming.headed([other]))
            if wider.any():
                draft.weights = wider.astype(np.float32)
                draft.readings.append(f"'{draft.parsed.thing.text}' as '{self.naming.label(other)}'")
                return
        near = self.table.near(word.text, self.naming.words(draft.chosen), NEAR)
        if near is None:
            self._ignore(draft, word)
            return
        draft.readings.append(f"'{word.text}' as '{near}'")
        draft.keep(self.naming.containing([near]))

    def _specify(self, draft: Draft) -> None:
        """Narrow down by words after the thing ("a bowl of fruit") where names contain them; ignore the others."""
        for word in draft.parsed.details:
            has, both = self._named(word, draft.chosen), self._both(draft.parsed, word)
            if has.any():
                draft.keep(has)
            elif both.any():  # a vase of flowers: "Flowers in a vase"
                draft.weights = both.astype(np.float32)
            else:
                self._ignore(draft, word)
        for word in draft.parsed.without:
            has = self._has(word, draft.chosen)
            if has.any() and (draft.chosen & ~has).any():
                draft.keep(~has)
            else:
                self._ignore(draft, word)
        if not draft.parsed.details:
            draft.weights[self.naming.longer] *= LONGER

    def _both(self, parsed: ParsedPrompt, word: Word) -> Marks:
        """Objects that are headed by the word, with the requested thing elsewhere in their names."""
        return self.naming.headed(kinds(word.root)) & self.naming.containing(parsed.roots)

    def _ignore(self, draft: Draft, word: Word) -> None:
        (draft.ignored if self._vocabulary.exact(word) else draft.unknown).append(word.text)

    def _named(self, word: Word, among: Marks) -> Marks:
        """Objects whose names have a word; only those of that kind if any are ("pine" tree, though "beech" is wood)."""
        are = self.naming.headed(kinds(word.root)) & among
        if are.any():
            return are
        others = ADJECTIVES.get(word.root, frozenset()) | COMPOUNDS.get(word.root, frozenset())
        return self.naming.containing(kinds(word.root) | others) & among

    def _has(self, word: Word, among: Marks) -> Marks:
        """Objects whose names have a word or, if these are few, that look like it."""
        named = self._named(word, among)
        if named.sum() >= FEW or self.naming.headed([word.root])[named].any():
            return named
        for material in MATERIALS.keys() & ADJECTIVES.get(word.root, frozenset()):
            named = named | (MATERIALS[material](self.colours) & among)
        return named

    def _colour(self, draft: Draft) -> None:
        """Prefer objects that have the colour, dye the others."""
        parsed = draft.parsed
        draft.ignored += [word.text for word in parsed.more_colours]
        if parsed.colour is None or (parsed.shade in SKIN and parsed.roots <= PEOPLE):
            return
        same = same_colour(self.colours, parsed.colour)
        colourable = np.maximum(self.shares, FAINT**2)  # share that has, or can take, the colour
        draft.weights *= np.where(same, PREFERRED, 1) * colourable
        draft.dyes = {int(number): parsed.colour for number in np.flatnonzero(draft.chosen & ~same)}

    def _remove(self, draft: Draft, negative: str) -> None:
        """Each phrase of the negative prompt removes the objects that match all its words; quality words do nothing."""
        before = int(draft.chosen.sum())
        dyed = np.isin(np.arange(len(self.naming.names)), list(draft.dyes))
        for chunk in chunks_of(negative):
            relevant = [word for word in chunk.words if not is_fluff(word)]
            if not relevant or any(word.root in NEGATIVE_FLUFF for word in relevant):
                continue
            marks = np.logical_and.reduce([self._is(word, draft.chosen, dyed) for word in relevant])
            if not marks.any():
                draft.unmatched_negative.append(" ".join(word.text for word in relevant))
            draft.keep(~marks)
        draft.removed = before - int(draft.chosen.sum())

    def _is(self, word: Word, among: Marks, dyed: Marks) -> Marks:
        """The objects that match a word of a negative prompt, after dyeing."""
        colour = colour_of(word.root)
        marks = self._has(word, among)
        if colour is not None:
            marks = marks | (same_colour(self.colours, colour) & among & ~dyed)
        return marks


def _short(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder="…")
