"""Words that say a colour, and objects that have it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.priors.colours import (
    OWN,
    SAME,
    SHADES,
    THINGS,
    bytes_of,
    colour_of,
    metallic,
    oklab,
    oklab_of,
    same_colour,
    shaded,
    wooden,
)


def test_oklab_has_the_values_that_its_author_gives():
    """White is (1,0,0); for pure red, green and blue the values of his post, to three places."""
    np.testing.assert_allclose(oklab((1, 1, 1)), (1, 0, 0), atol=1e-4)
    np.testing.assert_allclose(oklab((1, 0, 0)), (0.628, 0.225, 0.126), atol=1e-3)
    np.testing.assert_allclose(oklab((0, 1, 0)), (0.866, -0.234, 0.179), atol=1e-3)
    np.testing.assert_allclose(oklab((0, 0, 1)), (0.452, -0.032, -0.312), atol=1e-3)


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=50))
def test_there_and_back(rows):
    pixels = np.array(rows, np.uint8)
    np.testing.assert_allclose(oklab_of(pixels), oklab(pixels / 255), atol=1e-5)
    assert np.abs(bytes_of(oklab_of(pixels)).astype(int) - pixels).max() <= 1


def test_all_bytes_come_back():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    assert np.abs(bytes_of(oklab_of(greys)).astype(int) - greys).max() <= 1


def test_names():
    assert colour_of("grey") == colour_of("gray")
    assert colour_of("golden") == colour_of("gold")
    assert colour_of("crimson") is not None
    assert colour_of("lightseagreen") == pytest.approx((32 / 255, 178 / 255, 170 / 255))
    assert [word for word in ("chair", "snow", "#ff0000", "", "light") if colour_of(word)] == []
    assert all(colour_of(word) for word in (*OWN, *SAME, *THINGS))


def test_shades():
    green = oklab(colour_of("green"))
    assert oklab(shaded(colour_of("green"), "light"))[0] > green[0] + 0.1
    assert oklab(shaded(colour_of("green"), "dark"))[0] < green[0] - 0.1
    assert all(0 <= part <= 1 for shade in SHADES for part in shaded(colour_of("red"), shade))


BASIC = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")


def test_basic_colours_are_themselves_and_no_others():
    colours = np.array([colour_of(name) for name in BASIC])
    assert np.array_equal([same_colour(colours, colour_of(name)) for name in BASIC], np.eye(len(BASIC), dtype=bool))


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("red", (0.67, 0.0, 0.01), (0.34, 0.13, 0.09)),
        ("white", (0.9, 0.9, 0.89), (0.55, 0.55, 0.55)),
        ("black", (0.2, 0.2, 0.2), (0.4, 0.4, 0.4)),
        ("green", (0.3, 0.5, 0.15), (0.5, 0.45, 0.1)),
        ("blue", (0.12, 0.14, 0.59), (0.2, 0.24, 0.36)),
        ("brown", (0.4, 0.23, 0.11), (0.9, 0.5, 0.1)),
        ("brown", (0.41, 0.23, 0.18), (0.41, 0.1, 0.1)),
    ],
)
def test_colours_of_things(name, yes, no):
    assert same_colour([yes, no], colour_of(name)).tolist() == [True, False]


def test_materials():
    oak, steel, plastic, soot = (0.6, 0.45, 0.3), (0.6, 0.61, 0.63), (0.8, 0.1, 0.1), (0.03, 0.03, 0.03)
    assert wooden([oak, steel, plastic, soot]).tolist() == [True, False, False, False]
    assert metallic([oak, steel, plastic, soot]).tolist() == [False, True, False, False]
