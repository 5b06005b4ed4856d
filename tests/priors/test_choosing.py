"""Words to objects, among a kit of thirty things with the names and colours that kits have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thirty_things import CHOOSER, GREY, NAMES, TABLE, attempt, chosen, dyed

from backend.priors.base import PriorError
from backend.priors.choosing import FAINT, Chooser

CHAIRS = {"Chair", "chair.001", "Oak chair", "Red chair", "Folding chair", "Plastic chair", "Chair with cushion"}
LAMPS = {"Desk lamp", "Pendant lamp", "Street light", "Chandelier lamp"}


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a chair", CHAIRS),
        ("a photo of two chairs, highly detailed, 4k", CHAIRS),
        ("I want a nice chair please", CHAIRS),
        ("a toilet", {"Toilets unit"}),
        ("an apple", {"Apples"}),
        ("an iPhone", {"Apple iPhone"}),
        ("a smartphone", {"Apple iPhone"}),
        ("a card game", {"Card game"}),
        ("a car", {"Ford Focus", "Concept Sedan 01"}),
        ("my Renault", {"Ford Focus", "Concept Sedan 01"}),
        ("a lamp", LAMPS),
        ("a table lamp", {"Desk lamp"}),
        ("a floor lamp", LAMPS),
        ("a chandelier", {"Chandelier lamp"}),
        ("a table", {"Table", "Coffee table", "Round table", "Side table"}),
        ("a coffee table", {"Coffee table"}),
        ("a side table", {"Side table"}),
        ("a dining table", {"Table", "Coffee table", "Round table", "Side table"}),
        ("a bowl of fruit", {"Bowl with fruits"}),
        ("a bowl of soup", {"Bowl", "Bowl with fruits"}),
        ("a settee", {"Corner sofa", "Couch"}),
        ("a puppy", {"Bulldog"}),
        ("a poodle", {"Bulldog"}),
        ("a kitten", {"Siamese cat"}),
        ("an animal", {"Bulldog", "Siamese cat"}),
        ("a hot dog", {"Hot dog"}),
        ("a bike", {"Bicycle"}),
        ("a teddy bear", {"Teddy bear"}),
        ("a pair of glasses", {"Glasses"}),
        ("a statue of a woman", {"Female", "Sitting female"}),
        ("a sitting woman", {"Sitting female"}),
        ("people", {"Female", "Sitting female", "Boy"}),
        ("a tree", {"Acacia", "Pine under snow"}),
        ("a pine tree", {"Pine under snow"}),
        ("a wooden chair", {"chair.001", "Oak chair"}),
        ("a chair made of plastic", {"Plastic chair"}),
        ("a round table of wood", {"Round table"}),
        ("a rose", {"Tulips"}),
        ("a rattan chair", {"Rattan armchair"}),
        ("a bottle of wine", {"Wine bottle"}),
        ("a chair without cushions or wood", CHAIRS - {"Chair with cushion", "chair.001", "Oak chair"}),
        ("a bowl with no fruit", {"Bowl"}),
        ("a taxi", {"Ford Focus", "Concept Sedan 01"}),
    ],
)
def test_head_nouns_decide(prompt, names):
    assert chosen(prompt) == names


@pytest.mark.parametrize(
    "prompt", ["octopus on a table", "dragon", "xyzzy", "", "red", "a photo", "椅子", "freedom", "lion"]
)
def test_nothing_understood(prompt):
    assert not CHOOSER.understands(prompt)
    with pytest.raises(PriorError, match=r"names nothing that the prior knows: try one of .*chair"):
        CHOOSER.choose(prompt)


def test_similar_names_are_suggested():
    for slip, name in (
        ("a soffa", "sofa"),
        ("a bicylce", "bicycle"),
        ("a tulpi", "tulip"),
        ("christmas", "christmas tree"),
    ):
        with pytest.raises(PriorError, match=f"try one of .*{name}"):
            CHOOSER.choose(slip)


def test_cats_are_not_dogs():
    only = Chooser(["Cat", "Table"], np.full((2, 3), 0.5), np.ones(2), TABLE)
    assert [only.understands(word) for word in ("kitten", "a dog", "a chair", "tables")] == [True, False, False, True]


def test_the_word_table_knows_near_words():
    """Words of no list: only the table can tell them."""
    kit = Chooser(["Rifle", "Trumpet", "Castle"], np.full((3, 3), 0.5), np.ones(3), TABLE)
    choice = kit.choose("some guns")
    assert choice.weights.tolist() == [1, 0, 0]
    assert choice.notes == ["Draws from one object, 'Rifle'; reads 'guns' as 'rifle'."]


def test_sizes_are_preferred_but_do_not_select():
    weights = CHOOSER.choose("a small oven").weights
    assert weights[NAMES.index("Small oven")] == 2 * weights[NAMES.index("Oven")] == 1
    assert weights[NAMES.index("Chair")] == 0


@pytest.mark.parametrize(
    ("prompt", "has", "takes"),
    [
        ("a red car", {"Concept Sedan 01"}, {"Ford Focus"}),
        ("a car painted light blue", set(), {"Ford Focus", "Concept Sedan 01"}),
        ("a green sofa", set(), {"Corner sofa", "Couch"}),
        ("a white or grey sofa", {"Couch"}, {"Corner sofa"}),
        ("a black cat", set(), {"Siamese cat"}),
        ("a crimson bicycle", {"Bicycle"}, set()),
        ("an orange apple", set(), {"Apples"}),
        ("a black woman", {"Female", "Sitting female"}, set()),
        ("a red-haired woman", {"Female", "Sitting female"}, set()),
        ("a woman in a red dress", {"Female", "Sitting female"}, set()),
    ],
)
def test_colours(prompt, has, takes):
    assert chosen(prompt) == has | takes
    assert dyed(prompt) == takes


def test_objects_with_the_colour_weigh_more():
    weights = CHOOSER.choose("a red car").weights
    assert weights[NAMES.index("Concept Sedan 01")] == 1
    assert weights[NAMES.index("Ford Focus")] == 0.5
    assert all(0 <= red <= 1 for colour in CHOOSER.choose("a dark green sofa").dyes.values() for red in colour)


def test_objects_with_a_small_dyeable_share_weigh_little():
    kit = Chooser(["Sofa"] * 3, np.array([GREY] * 3), np.array([1, 0.5, 0.9 * FAINT]), TABLE)
    assert kit.choose("a blue sofa").weights.tolist() == [1, 0.5, 0]
    assert set(kit.choose("a blue sofa").dyes) == {0, 1}
    assert kit.choose("a sofa").weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("prompt", "negative", "gone"),
    [
        ("a chair", "folding", {"Folding chair"}),
        ("a chair", "plastic, cushions", {"Plastic chair", "Chair with cushion"}),
        ("a chair", "red", {"Red chair"}),
        ("a chair", "wooden chairs", {"chair.001", "Oak chair"}),
        ("a chair", "red sofa, wooden car", set()),
        ("a chair", "blurry, low quality, ugly chair, bad anatomy", set()),
        ("a chair", "", set()),
        ("a lamp", "street", {"Street light"}),
        ("an animal", "cat", {"Siamese cat"}),
    ],
)
def test_negative_prompts_remove_objects(prompt, negative, gone):
    assert chosen(prompt, negative) == chosen(prompt) - gone


def test_dyed_objects_no_longer_have_their_colour():
    assert chosen("a blue car", "red") == {"Ford Focus", "Concept Sedan 01"}


def test_a_negative_prompt_that_removes_everything_is_refused():
    with pytest.raises(PriorError, match='negative prompt "chairs" removes all objects for "a red chair"'):
        CHOOSER.choose("a red chair", "chairs")


def test_mismatched_lengths_are_refused():
    with pytest.raises(ValueError, match="1 names, 2 colours and 1 shares"):
        Chooser(["Chair"], np.zeros((2, 3)), np.ones(1), TABLE)


WORDS = st.lists(
    st.sampled_from("a the red dark wooden small chair lamps bowl of fruit with on , flying table cat not 4k".split()),
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given((st.text(max_size=60) | WORDS.map(" ".join)), WORDS.map(" ".join))
def test_any_prompt(prompt, negative):
    """A choice that keeps its promises, or a sentence."""
    choice = attempt(prompt, negative)
    if isinstance(choice, str):
        assert "\n" not in choice
        return
    assert CHOOSER.understands(prompt)
    assert choice.weights.shape == (len(NAMES),)
    assert choice.weights.max() == 1
    assert ((choice.weights == 0) | (choice.weights >= FAINT)).all()
    assert all(choice.weights[number] > 0 for number in choice.dyes)
