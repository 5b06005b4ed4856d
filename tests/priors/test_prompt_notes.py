"""The note on what a prompt's objects are, and what of it was not understood."""

import pytest
from thirty_things import note


@pytest.mark.parametrize(
    ("prompt", "negative", "words"),
    [
        ("a flying red chair", "", "Draws from 7 chairs, 6 of them dyed red; does not know 'flying'."),
        ("a wooden chair", "", "Draws from 2 wooden chairs ('chair.001' and 'Oak chair')."),
        ("a green couch", "", "Draws from 2 couches ('Corner sofa' and 'Couch'), all of them dyed green."),
        ("a blue vase-like bowl with yellow", "", "Draws from 2 bowls ('Bowl' and 'Bowl with fruits'), all of them"),
        ("a cat on a table", "", "Draws from one object, 'Siamese cat'; ignores 'table'."),
        ("an olive green or black bear", "", "'Teddy bear', dyed olive green; ignores 'black'."),
        ("a green teddy bear", "", "Draws from one object, 'Teddy bear', dyed green."),
        ("a round wooden table", "", "Draws from one object, 'Round table'; none of these is 'wooden'."),
        ("a taxi", "", "Draws from 2 cars ('Ford Focus' and 'Concept Sedan 01'); reads 'taxi' as 'car'."),
        ("furniture", "", "Draws from 15 pieces of furniture."),
        (
            "a chair",
            "red, unicorns",
            "6 chairs; the negative prompt removes 1; the negative prompt's 'unicorns' matches nothing.",
        ),
    ],
)
def test_notes(prompt, negative, words):
    assert words in note(prompt, negative)
