"""What a sentence wishes for, among the things that a kit has: a thing, what it is like, its colour.

The thing is the head noun of the first phrase: the last word of it that names objects of the kit, else the last one
that the word table takes for such a word.  Later phrases describe it or are told as left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from backend.priors.colours import SHADES, THINGS, Colour, colour_of, shaded
from backend.priors.grammar import Chunk, Word, chunks_of, kinds, root
from backend.priors.lexicon import ADJECTIVES, CARRIERS, FLUFF, LIKE
from backend.priors.words import WordTable

NEAR = 0.72  # cosine above which a word stands for another: puppy/dog .78, couch/sofa .84; cat/dog .63, cow/deer .59
PASSED = FLUFF | CARRIERS | ADJECTIVES.keys()  # may all come before the phrase with the thing
PARTS = frozenset("haired eyed skinned legged topped seated shirted faced headed tipped framed".split())


@dataclass(frozen=True)
class Wish:
    """A sentence that was understood."""

    thing: Word
    roots: frozenset[str]  # of the heads that count
    like: str | None = None  # the head that the thing was taken for
    described: tuple[Word, ...] = ()  # "office" chair
    after: tuple[Word, ...] = ()  # bowl of "fruit"
    without: tuple[Word, ...] = ()  # chair without "cushion"
    colour: Colour | None = None
    shade: str = ""  # the colour as it was said
    left: tuple[Word, ...] = ()  # further colours


@dataclass
class Vocabulary:
    """The heads of a kit's names, and the word table that says what is near to them."""

    heads: frozenset[str]
    table: WordTable
    _like: dict[str, str | None] = field(default_factory=dict)

    def exact(self, word: Word) -> frozenset[str]:
        """The heads that a word names."""
        return kinds(word.root) & self.heads

    def like(self, word: Word) -> str | None:
        """The kind that a word's things look like, else the head that means nearly what it does."""
        if word.said not in self._like:
            general = LIKE.get(word.root)
            known = general is not None and kinds(general) & self.heads
            self._like[word.said] = general if known else self.table.near(word.said, self.heads, NEAR)
        return self._like[word.said]


def read_wish(text: str, vocabulary: Vocabulary) -> Wish | None:
    """The wish of a sentence, None where it names nothing of the kit."""
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
            return _wish(tuple(skipped), chunk.words, position, chunks[number + 1 :], vocabulary)
        skipped += chunk.words
    return None


def is_fluff(word: Word) -> bool:
    """Whether nobody expects a word to change anything."""
    return word.said in FLUFF or word.root in FLUFF or word.root.isdigit()


def _head(words: tuple[Word, ...], vocabulary: Vocabulary) -> int | None:
    """Where the thing stands: exactly named, else nearly; words that say little only where no others do."""
    order = range(len(words) - 1, -1, -1)
    telling = [i for i in order if not is_fluff(words[i]) and (not _is_colour(words[i]) or words[i].root in THINGS)]
    for i in telling:
        if vocabulary.exact(words[i]):
            return i
    for i in telling:
        if vocabulary.like(words[i]):
            return i
    return next((i for i in order if vocabulary.exact(words[i]) and not _is_colour(words[i])), None)


def _wish(
    skipped: tuple[Word, ...],
    words: tuple[Word, ...],
    position: int,
    others: list[Chunk],
    vocabulary: Vocabulary,
) -> Wish:
    thing = words[position]
    roots, like = vocabulary.exact(thing), None
    if not roots:
        like = vocabulary.like(thing)
        roots = kinds(like) & vocabulary.heads if like else roots
    parts = [_colours(part) for part in (skipped, words[:position], words[position + 1 :])]
    described, colours = [word for part, _ in parts for word in part], [colour for _, part in parts for colour in part]
    after: list[Word] = []
    without = [word for chunk in others if chunk.without for word in chunk.words if not is_fluff(word)]
    for chunk in (chunk for chunk in others if not chunk.without):
        plain, more = _colours(chunk.words)
        telling = [word for word in plain if not is_fluff(word)]
        if all(word.root in ADJECTIVES for word in telling):  # "a chair, red and made of wood"
            described += plain
            colours += more
        else:
            after += telling
    shade, colour = colours[0] if colours else ("", None)
    left = tuple(Word(said, said) for said, _ in colours[1:] if said != shade)
    return Wish(thing, roots, like, tuple(described), tuple(after), tuple(without), colour, shade, left)


def _colours(words: Iterable[Word]) -> tuple[list[Word], list[tuple[str, Colour]]]:
    """The words that are no colours, and the colours: "dark green" is one."""
    rest: list[Word] = []
    colours: list[tuple[str, Colour]] = []
    queue = list(words)
    for i, word in enumerate(queue):
        colour = colour_of(word.root)
        following = queue[i + 1].root if i + 1 < len(queue) else ""
        if colour is None or following in PARTS:
            rest.append(word)
            continue
        said = word.said
        if i and colours and queue[i - 1].said == colours[-1][0].split()[-1]:  # "lime green" is a lime
            colours[-1] = (" ".join(dict.fromkeys([*colours[-1][0].split(), said])), colours[-1][1])
            continue
        if rest and queue[i - 1] is rest[-1] and rest[-1].said in SHADES:
            shade = rest.pop().said
            colour, said = shaded(colour, shade), f"{shade} {said}"
        colours.append((said, colour))
    return rest, colours


def _is_colour(word: Word) -> bool:
    return colour_of(word.root) is not None


def _split_idioms(words: tuple[Word, ...], vocabulary: Vocabulary) -> tuple[Word, ...]:
    """Idioms that the kit does not know fall into their words: without foosball a "football table" is a table."""
    found: list[Word] = []
    for word in words:
        parts = word.said.split()
        whole = len(parts) == 1 or vocabulary.exact(word)
        found += [word] if whole else [Word(part, root(part)) for part in parts]
    return tuple(found)
