"""Words choose and weigh the objects of a kit, and say which are to be dyed: pi_k(y) of the closed-form prior.

The head noun says which objects are in, what describes it which of them stay; a colour prefers objects that have it
and dyes the others.  All that was not understood is told (`backend.priors.prompt_notes`).
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
from backend.priors.phrases import NEAR, Vocabulary, Wish, is_fluff, read_wish
from backend.priors.prompt_notes import Draft, note
from backend.priors.words import WordTable

FEW = 4  # where fewer names say "wooden", objects that look so count as well
PREFERRED = 2.0  # weight of objects that have the size, or by themselves the colour, that was asked for
LONGER = 0.5  # weight of "chair with cushion" where a chair was asked for
FAINT = 0.25  # what is less likely than this, next to the likeliest, is not chosen: scores overrule weak odds
MATERIALS = {"wood": wooden, "metal": metallic}
PEOPLE = kinds("person")
SKIN = frozenset(["black", "white", "brown"])  # said of people it is no dye


@dataclass(frozen=True)
class Choice:
    """Objects for a sentence."""

    weights: NDArray[np.float32]  # (N,) >= 0, one an object, 0: not chosen; the largest is 1.  pi_k up to a factor
    dyes: dict[int, Colour]  # object number -> sRGB that its main colour is to become
    notes: list[str]  # sentences to tell the user


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
        draft = Draft(wish, self.naming.headed(wish.roots).astype(np.float32))
        self._describe(draft)
        self._specify(draft)
        self._colour(draft)
        self._take_away(draft, negative)
        if not draft.chosen.any():
            raise PriorError(
                f'negative prompt "{_short(negative)}" takes away all that the prior knows of '
                f'"{_short(prompt)}": say less of it'
            )
        draft.keep(draft.weights >= FAINT * draft.weights.max())
        draft.dyes = {number: colour for number, colour in draft.dyes.items() if draft.chosen[number]}
        return Choice((draft.weights / draft.weights.max()).astype(np.float32), draft.dyes, [note(draft, self.naming)])

    def _describe(self, draft: Draft) -> None:
        """Words before the thing choose: nouns first ("office" chair), then what names say, last what only shows."""
        kind = draft.chosen

        def rank(word: Word) -> int:
            return 0 if word.root not in ADJECTIVES else 1 if self._said(word, kind).any() else 2

        for word in sorted(draft.wish.described, key=rank):
            has = self._has(word, draft.chosen)
            if has.any() and word.root in SIZES:
                draft.weights[has] *= PREFERRED
                draft.some.append((word.said, has))
            elif has.any():
                draft.keep(has)
                draft.said.append(word)
            elif self._has(word, kind).any():
                draft.none.append(word.said)
            elif not is_fluff(word):
                self._guess(draft, word)

    def _guess(self, draft: Draft, word: Word) -> None:
        """A describing word that no name carries: perhaps that of a like thing does, or one that means nearly that."""
        for other in WIDER.get(draft.wish.thing.root, ()):
            wider = self._said(word, self.naming.headed([other]))
            if wider.any():
                draft.weights = wider.astype(np.float32)
                draft.reads.append(f"'{draft.wish.thing.said}' as '{self.naming.label(other)}'")
                return
        near = self.table.near(word.said, self.naming.words(draft.chosen), NEAR)
        if near is None:
            self._leave(draft, word)
            return
        draft.reads.append(f"'{word.said}' as '{near}'")
        draft.keep(self.naming.carrying([near]))

    def _specify(self, draft: Draft) -> None:
        """Words after the thing, as the fruit of a bowl: names that carry them are meant, else they are left out."""
        for word in draft.wish.after:
            has, both = self._said(word, draft.chosen), self._both(draft.wish, word)
            if has.any():
                draft.keep(has)
            elif both.any():  # a vase of flowers: "Flowers in a vase"
                draft.weights = both.astype(np.float32)
            else:
                self._leave(draft, word)
        for word in draft.wish.without:
            has = self._has(word, draft.chosen)
            if has.any() and (draft.chosen & ~has).any():
                draft.keep(~has)
            else:
                self._leave(draft, word)
        if not draft.wish.after:
            draft.weights[self.naming.longer] *= LONGER

    def _both(self, wish: Wish, word: Word) -> Marks:
        """Objects that are another thing, but have the one that was asked for beside it."""
        return self.naming.headed(kinds(word.root)) & self.naming.carrying(wish.roots)

    def _leave(self, draft: Draft, word: Word) -> None:
        (draft.left if self._vocabulary.exact(word) else draft.unseen).append(word.said)

    def _said(self, word: Word, among: Marks) -> Marks:
        """Whose names say a word; those of that kind where there are any ("pine" tree, though "beech" is wood too)."""
        are = self.naming.headed(kinds(word.root)) & among
        if are.any():
            return are
        others = ADJECTIVES.get(word.root, frozenset()) | COMPOUNDS.get(word.root, frozenset())
        return self.naming.carrying(kinds(word.root) | others) & among

    def _has(self, word: Word, among: Marks) -> Marks:
        """Whose names say a word or, where few do, who look it."""
        said = self._said(word, among)
        if said.sum() >= FEW or self.naming.headed([word.root])[said].any():
            return said
        for material in MATERIALS.keys() & ADJECTIVES.get(word.root, frozenset()):
            said = said | (MATERIALS[material](self.colours) & among)
        return said

    def _colour(self, draft: Draft) -> None:
        """Prefer what has the colour, dye the rest."""
        wish = draft.wish
        draft.left += [word.said for word in wish.left]
        if wish.colour is None or (wish.shade in SKIN and wish.roots <= PEOPLE):
            return
        same = same_colour(self.colours, wish.colour)
        draft.weights *= np.where(same, PREFERRED, 1) * np.maximum(self.shares, FAINT**2)  # how much has, or takes, it
        draft.dyes = {int(number): wish.colour for number in np.flatnonzero(draft.chosen & ~same)}

    def _take_away(self, draft: Draft, negative: str) -> None:
        """Each phrase of the negative prompt takes what has all of its words; phrases about pictures take nothing."""
        before = int(draft.chosen.sum())
        dyed = np.isin(np.arange(len(self.naming.names)), list(draft.dyes))
        for chunk in chunks_of(negative):
            telling = [word for word in chunk.words if not is_fluff(word)]
            if not telling or any(word.root in NEGATIVE_FLUFF for word in telling):
                continue
            marks = np.logical_and.reduce([self._is(word, draft.chosen, dyed) for word in telling])
            if not marks.any():
                draft.idle.append(" ".join(word.said for word in telling))
            draft.keep(~marks)
        draft.taken = before - int(draft.chosen.sum())

    def _is(self, word: Word, among: Marks, dyed: Marks) -> Marks:
        """Which objects a word of a negative prompt is true of, as they will be when they are dyed."""
        colour = colour_of(word.root)
        marks = self._has(word, among)
        if colour is not None:
            marks = marks | (same_colour(self.colours, colour) & among & ~dyed)
        return marks


def _short(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder="…")
