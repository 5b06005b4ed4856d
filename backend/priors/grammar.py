"""Parses phrases: the head noun names the thing, with words before and after it.

In English the last word of a noun phrase is the thing: a "card game" is a game, a "desk lamp" a lamp.  Prepositions,
articles and commas end the phrase: a "chair with cushion" is a chair.  Words are compared by their *root*: lower case,
singular, and the same for all words with one meaning (`backend.priors.lexicon`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from backend.priors.lexicon import IDIOMS, IRREGULAR, KINDS, ROOTS, WEAK

STOPS = frozenset(
    "a an the with without no not of in on at by and or under over near beside behind between into from for to as than "
    "that which who is are was made wearing having , ; : . ! ? / ( ) - & +".split()
)
WITHOUT = frozenset(["without", "no", "not"])
ALSO = frozenset(["and", "or"])  # continue a "without"
FRESH = frozenset(", ; : . ! ?".split())  # after these the thing may still follow
ES = ("ches", "shes", "sses", "xes", "zes", "oes")


@dataclass(frozen=True)
class Word:
    """A word as it was written, and the root by which it is compared."""

    text: str
    root: str


@dataclass(frozen=True)
class Chunk:
    """Words between two stops."""

    words: tuple[Word, ...]
    fresh: bool  # preceded by one of FRESH, or first
    without: bool = False  # negated


@dataclass(frozen=True)
class Name:
    """An object's name: the roots of its head (several if it also names its kind) and of its other words."""

    heads: frozenset[str]
    before: frozenset[str]  # "office" of an office chair
    after: frozenset[str]  # "cushion" of a chair with cushion


def singular(word: str) -> str:
    """The singular: apples -> apple, knives -> knife, glasses (spectacles) -> glasses."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(ES) else word[:-1]


def plural(word: str) -> str:
    """The plural, for sentences."""
    for many, one in IRREGULAR.items():
        if one == word and many != word:
            return many
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word in IRREGULAR or singular(word) != word:
        return word
    return word + ("es" if word.endswith(("s", "sh", "ch", "x", "z")) else "s")


@lru_cache(4096)
def root(word: str) -> str:
    """The root by which a word is compared: couches -> sofa."""
    return ROOTS.get(word) or ROOTS.get(singular(word)) or singular(word)


def words_of(text: str) -> list[Word]:
    """Words and stops of a text, in any script; idioms become one word ("hot dog"), CamelCase and _ are split."""
    text = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", text.replace("_", " "))
    folded = unicodedata.normalize("NFKD", text.lower().replace("'s ", " "))
    folded = "".join(letter for letter in folded if not unicodedata.combining(letter))
    parts = re.findall(r"[^\W_]+|(?<=\s)-(?=\s)|[^\w\s'’\"-]", folded)
    words: list[Word] = []
    while parts:
        size = next((n for n in (3, 2) if " ".join(map(singular, parts[:n])) in IDIOMS and len(parts) >= n), 1)
        written = " ".join(parts[:size])
        one = " ".join(map(singular, parts[:size]))
        words.append(Word(written, IDIOMS[one] if size > 1 else root(written)))
        parts = parts[size:]
    return words


def chunks_of(text: str) -> list[Chunk]:
    """The phrases of a sentence."""
    chunks: list[Chunk] = []
    words: list[Word] = []
    fresh, without = True, False
    for word in [*words_of(text), Word(".", ".")]:
        if word.text not in STOPS:
            words.append(word)
            continue
        if words:
            chunks.append(Chunk(tuple(words), fresh, without))
            words, fresh, without = [], False, without and word.text in ALSO
        fresh, without = fresh or word.text in FRESH, without or word.text in WITHOUT
    return chunks


def name_of(text: str) -> Name:
    """Read an object's name.  Numbers end it: "Sofa 2 seats" is a sofa."""
    text = re.sub(r"(?<=\w)[ ._:]+(?=\d)|(?<=[a-zA-Z]{3})(?=\d)", " , ", text)
    rows = [[word.root for word in chunk.words if not word.text.isdigit()] for chunk in chunks_of(text)]
    rows = [row for row in rows if row]
    if not rows:
        return Name(frozenset(), frozenset(), frozenset())
    first = rows[0]
    while len(first) > 1 and first[-1] in WEAK:
        first = first[:-1]
    heads = {first[-1]} | {word for word in first[-2:-1] if word in kinds(first[-1])}
    after = frozenset(word for row in rows[1:] for word in row)
    parts = {root(part) for chunk in chunks_of(text)[:1] for word in chunk.words for part in word.text.split()[:-1]}
    return Name(frozenset(heads), (frozenset(first) | parts) - heads, after)


@lru_cache(1024)
def kinds(word: str) -> frozenset[str]:
    """All roots that count as this kind, itself included: vehicle -> car, sedan, bus, …"""
    found, queue = {word}, [word]
    while queue:
        new = [kind for kind in KINDS.get(queue.pop(), ()) if kind not in found]
        found.update(new)
        queue += new
    return frozenset(found)
