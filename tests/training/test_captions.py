"""What rendered objects are called: kinds, colours measured from pixels, and the words a caption may say."""

import re

import numpy as np
import pytest

from backend.cameras import view_word
from backend.training.captions import COLOURS, KINDS, caption, clean_name, colour_shares, kind_of

NAMED_PATCHES = [
    ("black", (0, 0, 0)),
    ("black", (0.15, 0.0, 0.0)),
    ("grey", (0.5, 0.5, 0.5)),
    ("white", (1, 1, 1)),
    ("red", (1, 0, 0)),
    ("red", (0.6, 0.05, 0.1)),
    ("orange", (1, 0.5, 0)),
    ("brown", (0.4, 0.25, 0.1)),
    ("yellow", (1, 1, 0)),
    ("green", (0, 1, 0)),
    ("green", (0.1, 0.35, 0.1)),
    ("blue", (0, 0, 1)),
    ("blue", (0.4, 0.7, 1)),
    ("purple", (0.5, 0, 1)),
    ("pink", (1, 0.6, 0.7)),
    ("pink", (1, 0, 1)),
]


def shares_of(colour: str, share: float = 1.0) -> np.ndarray:
    shares = np.zeros(len(COLOURS), np.float32)
    shares[COLOURS.index(colour)] = share
    return shares


def captions_of(name: str, colour: str, view: str | None, share: float = 1.0, recoloured: bool = False) -> list[str]:
    rng = np.random.default_rng(0)
    return [caption(name, shares_of(colour, share), view, recoloured, rng) for _ in range(400)]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Concept Sedan 02 Sport", "sedan sport"),
        ("Table 80x120", "table"),
        ("Toilets unit", "toilet"),
        ("Chair (with cushion)", "chair with cushion"),
        ("Seat Leon", "car"),
    ],
)
def test_a_catalogues_name_becomes_what_people_say(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("office chair", "chair"),
        ("chair with cushion", "chair"),
        ("chair and table", "chair"),
        ("plant pot", "pot"),
        ("stack of books", "books"),
        ("grand piano", "piano"),
        ("sushi tray", None),
    ],
)
def test_the_kind_is_the_last_word_that_is_one(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_no_kind_is_its_own_synonym() -> None:
    assert all(kind not in others for kind, others in KINDS.items())


@pytest.mark.parametrize(
    ("azimuth", "elevation", "word"),
    [
        (0, 20, "front"),
        (44, 20, "front"),
        (-44, 20, "front"),
        (316, 20, "front"),
        (46, 20, "side"),
        (134, 20, "side"),
        (-90, 20, "side"),
        (136, 20, "back"),
        (-136, 20, "back"),
        (540, -10, "back"),
        (10, 60, "front"),
        (10, 61, "overhead"),
        (180, 61, "overhead"),
    ],
)
def test_the_view_word_follows_the_camera(azimuth: float, elevation: float, word: str) -> None:
    assert view_word(azimuth, elevation) == word


@pytest.mark.parametrize(("colour", "rgb"), NAMED_PATCHES)
def test_a_pure_patch_has_one_colour(colour: str, rgb: tuple[float, float, float]) -> None:
    shares = colour_shares(np.tile(np.float32(rgb), (5, 1)), np.ones(5, np.float32))
    np.testing.assert_array_equal(shares, shares_of(colour))


def test_shares_are_weighted_and_add_up_to_one() -> None:
    rgb = np.float32([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    shares = colour_shares(rgb, np.float32([0.75, 0.25, 0.0]))
    np.testing.assert_allclose(shares, shares_of("red", 0.75) + shares_of("blue", 0.25))
    assert colour_shares(rgb, np.zeros(3, np.float32)).sum() == 0  # an empty picture has no colour


def test_a_caption_says_name_or_synonym_and_only_a_ruling_colour() -> None:
    said = set(captions_of("mug", "red", None))
    assert said == {"a mug", "a cup", "a red mug", "a red cup"}
    assert set(captions_of("mug", "red", None, share=0.4)) == {"a mug", "a cup"}
    assert set(captions_of("sushi tray", "green", None)) == {"a sushi tray", "a green sushi tray"}


def test_a_caption_says_the_view_in_seven_of_ten() -> None:
    with_view = [text for text in captions_of("mug", "red", "back") if text.endswith(", back view")]
    assert len(with_view) / 400 == pytest.approx(0.7, abs=0.08)
    assert not any("view" in text for text in captions_of("mug", "red", None))


def test_brown_furniture_is_wooden_unless_it_was_dyed() -> None:
    wooden = re.compile(r"\b(wooden|wood)\b")
    share = np.mean([bool(wooden.search(text)) for text in captions_of("table", "brown", None)])
    assert share == pytest.approx(0.5, abs=0.08)
    assert not any(wooden.search(text) for text in captions_of("table", "brown", None, recoloured=True))
    assert not any(wooden.search(text) for text in captions_of("table", "blue", None))
    assert not any(wooden.search(text) for text in captions_of("sofa", "brown", None))
