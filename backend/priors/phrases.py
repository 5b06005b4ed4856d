"""Parses a prompt with the vocabulary of a kit: the thing, its descriptions, its colour.

The thing is the head noun of the first phrase: its last word that names objects of the kit, or else the last one that
is similar to such a word by the word table.  Later phrases describe it or are reported as ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from backend.priors.colours import SHADES, THINGS, Colour, colour_of, shaded
from backend.priors.grammar import Chunk, Word, chunks_of, kinds, root
from backend.priors.lexicon import ADJECTIVES, CARRIERS, FLUFF, LIKE
from backend.priors.words import WordTable

NEAR = 0.72  # cosine above which a word can replace another: puppy/dog .78, couch/sofa .84; cat/dog .63, cow/deer .59
PASSED = FLUFF | CARRIERS | ADJECTIVES.keys()  # may come before the phrase with the thing
PARTS = frozenset("haired eyed skinned legged topped seated shirted faced headed tipped framed".split())


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt that was understood."""

    thing: Word
    roots: frozenset[str]  # of the matching heads
    taken_for: str | None = None  # the head that replaces an unknown thing
    descriptions: tuple[Word, ...] = ()  # "office" chair
    details: tuple[Word, ...] = ()  # bowl of "fruit"
    without: tuple[Word, ...] = ()  # chair without "cushion"
    colour: Colour | None = None
    shade: str = ""  # the colour as it was written
    more_colours: tuple[Word, ...] = ()  # ignored


@dataclass
class Vocabulary:
    """The heads of a kit's names, and the word table for words that are similar to them."""

    heads: frozenset[str]
    table: WordTable
    _replacements: dict[str, str | None] = field(default_factory=dict)

    def exact(self, word: Word) -> frozenset[str]:
        """The heads that a word names."""
        return kinds(word.root) & self.heads

    def replacement(self, word: Word) -> str | None:
        """The head that can replace a word: the more general kind that it looks like, or one of similar meaning."""
        if word.text not in self._replacements:
            general = LIKE.get(word.root)
            known = general is not None and kinds(general) & self.heads
            self._replacements[word.text] = general if known else self.table.near(word.text, self.heads, NEAR)
        return self._replacements[word.text]


def parse_prompt(text: str, vocabulary: Vocabulary) -> ParsedPrompt | None:
    """Parse a prompt; None where it names nothing of the kit."""
    chunks = [replace(chunk, words=_split_idioms(chunk.words, vocabulary)) for chunk in chunks_of(text)]
    skipped: list[Word] = []
    for number, chunk in enumerate(chunks):
        if chunk.without:
            continue
        passed = all(word.root in PASSED or _is_colour(word) for word in skipped)
        if not (passed or chunk.fresh):
            continue
        position = _head(chunk.words, vocabulary)
        if position is not None:
            return _parse(tuple(skipped), chunk.words, position, chunks[number + 1 :], vocabulary)
        skipped += chunk.words
    return None


def is_fluff(word: Word) -> bool:
    """Whether a word has no meaning for the choice of objects."""
    return word.text in FLUFF or word.root in FLUFF or word.root.isdigit()


def _head(words: tuple[Word, ...], vocabulary: Vocabulary) -> int | None:
    """The position of the thing: an exact name, else a similar one; words of little meaning only as a last resort."""
    order = range(len(words) - 1, -1, -1)
    relevant = [i for i in order if not is_fluff(words[i]) and (not _is_colour(words[i]) or words[i].root in THINGS)]
    for i in relevant:
        if vocabulary.exact(words[i]):
            return i
    for i in relevant:
        if vocabulary.replacement(words[i]):
            return i
    return next((i for i in order if vocabulary.exact(words[i]) and not _is_colour(words[i])), None)


def _parse(
    skipped: tuple[Word, ...],
    words: tuple[Word, ...],
    position: int,
    others: list[Chunk],
    vocabulary: Vocabulary,
) -> ParsedPrompt:
    thing = words[position]
    roots, taken_for = vocabulary.exact(thing), None
    if not roots:
        taken_for = vocabulary.replacement(thing)
        roots = kinds(taken_for) & vocabulary.heads if taken_for else roots
    parts = [_colours(part) for part in (skipped, words[:position], words[position + 1 :])]
    descriptions, colours = (
        [word for part, _ in parts for word in part],
        [colour for _, part in parts for colour in part],
    )
    details: list[Word] = []
    without = [word for chunk in others if chunk.without for word in chunk.words if not is_fluff(word)]
    for chunk in (chunk for chunk in others if not chunk.without):
        plain, more = _colours(chunk.words)
        relevant = [word for word in plain if not is_fluff(word)]
        if all(word.root in ADJECTIVES for word in relevant):  # "a chair, red and made of wood"
            descriptions += plain
            colours += more
        else:
            details += relevant
    shade, colour = colours[0] if colours else ("", None)
    other_colours = tuple(Word(name, name) for name, _ in colours[1:] if name != shade)
    return ParsedPrompt(
        thing, roots, taken_for, tuple(descriptions), tuple(details), tuple(without), colour, shade, other_colours
    )


def _colours(words: Iterable[Word]) -> tuple[list[Word], list[tuple[str, Colour]]]:
    """The other words, and the colours: "dark green" is one."""
    rest: list[Word] = []
    colours: list[tuple[str, Colour]] = []
    queue = list(words)
    for i, word in enumerate(queue):
        colour = colour_of(word.root)
        following = queue[i + 1].root if i + 1 < len(queue) else ""
        if colour is None or following in PARTS:
            rest.append(word)
            continue
        name = word.text
        if i and colours and queue[i - 1].text == colours[-1][0].split()[-1]:  # "lime green" is lime
            colours[-1] = (" ".join(dict.fromkeys([*colours[-1][0].split(), name])), colours[-1][1])
            continue
        if rest and queue[i - 1] is rest[-1] and rest[-1].text in SHADES:
            shade = rest.pop().text
            colour, name = shaded(colour, shade), f"{shade} {name}"
        colours.append((name, colour))
    return rest, colours


def _is_colour(word: Word) -> bool:
    return colour_of(word.root) is not None


def _split_idioms(words: tuple[Word, ...], vocabulary: Vocabulary) -> tuple[Word, ...]:
    """Split idioms that the kit does not have: without foosball a "football table" is a table."""
    found: list[Word] = []
    for word in words:
        parts = word.text.split()
        whole = len(parts) == 1 or vocabulary.exact(word)
        found += [word] if whole else [Word(part, root(part)) for part in parts]
    return tuple(found)
