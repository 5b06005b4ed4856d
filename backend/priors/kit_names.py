"""The parsed names of a kit's objects: which are of a kind, contain a word, or are similar to a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from backend.priors.grammar import chunks_of, name_of, words_of
from backend.priors.lexicon import KINDS, ROOTS
from backend.priors.words import WordTable

Marks = NDArray[np.bool_]  # (N,), one per object
TYPO = 0.72  # difflib ratio above which a word may be a typo of another: "chiar" .8
ALIKE = 0.5  # cosine above which a word is suggested for another


class Naming:
    """N names, by the roots of their heads and of their other words."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._read = [name_of(name) for name in names]
        self.heads = frozenset(head for name in self._read for head in name.heads)
        self.longer = np.array([bool(name.after) for name in self._read], bool)  # "chair with cushion"
        self._labels = self._common_spellings()

    def headed(self, roots: Iterable[str]) -> Marks:
        """The objects whose head is one of these roots."""
        roots = frozenset(roots)
        return np.array([not roots.isdisjoint(name.heads) for name in self._read], bool)

    def containing(self, roots: Iterable[str]) -> Marks:
        """The objects with one of these roots anywhere in their names."""
        roots = frozenset(roots)
        return np.array([not roots.isdisjoint(name.heads | name.before | name.after) for name in self._read], bool)

    def words(self, among: Marks) -> frozenset[str]:
        """The roots before the heads in the names of some objects."""
        return frozenset(word for name, is_in in zip(self._read, among, strict=True) if is_in for word in name.before)

    def label(self, root: str) -> str:
        """A head as it is written in the names: "coffee machine"."""
        return self._labels.get(root, root)

    def suggest(self, text: str, table: WordTable, count: int = 8) -> list[str]:
        """Names that are spelled or mean nearly like the words of a text, then the most common things of the kit."""
        labels = {self.label(head): head for head in self.heads}
        found: list[str] = []
        for word in (word for chunk in chunks_of(text) for word in chunk.words):
            found += [name.lower() for name, has in zip(self.names, self.containing([word.root]), strict=True) if has][
                :3
            ]
            found += get_close_matches(word.text, list(labels), n=3, cutoff=TYPO)
            near = table.near(word.text, self.heads, ALIKE)
            found += [self.label(near)] if near else []
        often = Counter(head for name in self._read for head in name.heads).most_common(count)
        return list(dict.fromkeys(found + [self.label(head) for head, _ in often]))[:count]

    def _common_spellings(self) -> dict[str, str]:
        spellings: dict[str, Counter[str]] = {}
        for name in self.names:
            for word in words_of(name):
                spellings.setdefault(word.root, Counter())[word.text] += 1
        plain = {*ROOTS.values(), *KINDS}  # other roots may be artificial: "coffeemaker"
        return {
            root: root if root in words or root in plain else words.most_common(1)[0][0]
            for root, words in spellings.items()
        }
