"""Which thing a phrase names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.priors.grammar import chunks_of, kinds, name_of, plural, root, singular, words_of
from backend.priors.lexicon import ADJECTIVES, IDIOMS, KINDS, LIKE, ROOTS


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("apples", "apple"), ("benches", "bench"), ("shelves", "shelf"), ("shoes", "shoe"), ("cherries", "cherry"),
        ("boxes", "box"), ("vases", "vase"), ("buses", "bus"), ("women", "woman"), ("tomatoes", "tomato"),
        ("houses", "house"), ("scissors", "scissors"), ("cacti", "cactus"), ("knives", "knife"), ("toys", "toy"),
    ],
)  # fmt: skip
def test_singular_and_plural(many, one):
    assert singular(many) == singular(one) == one
    assert plural(one) == many


@pytest.mark.parametrize("word", ["glass", "bus", "cactus", "tennis", "sofa", "gas", "christmas", "sunglasses"])
def test_words_that_only_look_like_plurals(word):
    assert singular(word) == word


def test_spectacles_are_not_a_glass():
    assert root("glasses") != root("glass")
    assert root("spectacles") == root("glasses")


@pytest.mark.parametrize(
    ("name", "heads", "before", "after"),
    [
        ("Toilet paper dispenser", {"dispenser"}, {"toilet", "paper"}, set()),
        ("Chair with cushion", {"chair"}, set(), {"pillow"}),
        ("Plate, glass and cutlery", {"plate"}, set(), {"glass", "cutlery"}),
        ("Table tennis", {"tabletennis"}, {"table"}, set()),
        ("Sofa 2 seats", {"sofa"}, set(), {"seat"}),
        ("Chandelier lamp", {"chandelier", "lamp"}, set(), set()),
        ("Toilets unit", {"toilet"}, set(), set()),
        ("Air conditioning - External unit", {"airconditioner"}, {"air"}, {"external", "unit"}),
        ("SM_WoodenChair_03.002", {"chair"}, {"sm", "wooden"}, set()),
        ("Côté d’Azur Sessel", {"sessel"}, {"cote", "d", "azur"}, set()),
        ("Oak chair (old)", {"chair"}, {"oak"}, {"old"}),
        ("007", set(), set(), set()),
        ("", set(), set(), set()),
    ],
)
def test_name(name, heads, before, after):
    read = name_of(name)
    assert (read.heads, read.before, read.after) == (heads, before, after)


def test_phrases_end_at_stops():
    texts = [[word.text for word in chunk.words] for chunk in chunks_of("A red-haired girl's hot dog on a table. Old!")]
    assert texts == [["red", "haired", "girl", "hot dog"], ["table"], ["old"]]
    assert [chunk.fresh for chunk in chunks_of("a cat on a mat, asleep")] == [True, False, True]


def test_kinds_of_kinds():
    assert {"car", "suv", "truck"} <= kinds("vehicle")
    assert "vehicle" not in kinds("car")
    assert kinds("xyzzy") == {"xyzzy"}


def test_the_lexicon_agrees_with_itself():
    """Every root is its own, and what other tables are looked up by are roots."""
    assert all(ROOTS[word] == word for word in set(ROOTS.values()) if word in ROOTS)
    keys = {*KINDS, *(kind for row in KINDS.values() for kind in row), *ADJECTIVES, *LIKE, *LIKE.values()}
    assert [word for word in sorted(keys) if root(word) != word] == []
    assert [idiom for idiom in IDIOMS if " ".join(map(singular, idiom.split())) != idiom] == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text(text):
    name_of(text)
    for word in words_of(text):
        assert word.text
        assert word.root
        assert root(word.root) == word.root or " " in word.text
