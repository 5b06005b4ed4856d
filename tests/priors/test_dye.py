"""Dyes, on a shaded ball of known colour with other things beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.priors.colours import colour_of, oklab
from backend.priors.dye import dye

RED, WHITE, GREY, BLACK = (0.7, 0.05, 0.06), (0.9, 0.9, 0.9), (0.5, 0.5, 0.5), (0.04, 0.04, 0.04)
TYRE, LEG, GLASS = (0.06, 0.06, 0.06), (0.45, 0.28, 0.12), (0.05, 0.3, 0.35)
SHADE = np.linspace(1, 0.35, 40)  # of linear light, as the renderer has it from front to side


def to_bytes(linear):
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    return np.rint(srgb * 255).astype(np.uint8)


def views(*colours):
    """Rows of 40 pixels, one a colour, from light to shade: (1,len,40,4), the last column empty."""
    srgb = np.array(colours)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    pictures = np.full((1, len(colours), 40, 4), 255, np.uint8)
    pictures[0, ..., :3] = to_bytes(linear[:, None] * SHADE[:, None])
    pictures[0, :, -1] = 0
    return pictures


def lab(pictures):
    return oklab(pictures[0, :, :-1, :3] / 255)


@pytest.mark.parametrize("own", [RED, WHITE, GREY, BLACK, (0.1, 0.2, 0.6), LEG, (0.7, 0.6, 0.5)])
@pytest.mark.parametrize("to", ["red", "blue", "green", "yellow", "white", "grey"])
def test_in_the_light_it_has_the_new_colour_and_in_shade_it_is_darker(own, to):
    dyed = dye(views(own), own, colour_of(to))
    np.testing.assert_allclose(dyed[0, 0, 0, :3] / 255, colour_of(to), atol=0.02)
    lightness = lab(dyed)[0, :, 0]
    assert (np.diff(lightness) < 0.005).all()
    assert lightness[-1] < 0.95 * lightness[0]


def test_closed_form():
    """A colour in shade is a shade of the new colour: all of its light, times the same factor."""
    dyed, straight = dye(views(RED), RED, colour_of("blue")), views(colour_of("blue"))
    assert np.abs(dyed[0, 0, :-1].astype(int) - straight[0, 0, :-1]).max() <= 3


def test_its_own_colour_changes_nothing():
    pictures = views(RED, TYRE, WHITE)
    assert np.abs(dye(pictures, RED, RED).astype(int) - pictures).max() <= 2


@pytest.mark.parametrize(
    ("own", "others"),
    [
        (RED, [TYRE, WHITE, GREY, GLASS, (0.1, 0.5, 0.1)]),
        ((0.1, 0.2, 0.6), [TYRE, LEG, WHITE, (0.9, 0.8, 0.1)]),
        (WHITE, [TYRE, LEG, RED, GLASS]),
        (BLACK, [WHITE, LEG, RED]),
    ],
)
def test_other_materials_stay(own, others):
    pictures = views(own, *others)
    dyed = dye(pictures, own, colour_of("green"))
    assert np.abs(dyed[:, 1:].astype(int) - pictures[:, 1:]).max() <= 10
    assert np.abs(dyed[:, :1].astype(int) - pictures[:, :1])[..., :-1, :].max() > 60


def test_seams_are_unmixed():
    """Half a pixel of red on white, dyed blue, is half a pixel of blue: no red is left, and no violet comes in."""
    half = tuple((np.array(RED) + WHITE) / 2)
    hue = lab(dye(views(half), RED, colour_of("blue")))[0]
    target = oklab(colour_of("blue"))
    along, across = hue[:, 1:] @ target[1:], hue[:, 1:] @ np.array([-target[2], target[1]])
    assert (np.abs(across) < 0.1 * along).all()
    assert np.abs(lab(dye(views(half), RED, WHITE))[..., 1:]).max() < 0.02


def test_what_is_seen_and_how_much_of_it_stays():
    pictures = views(RED)
    pictures[0, 0, :-1, 3] = np.arange(39) * 6
    before = pictures.copy()
    dyed = dye(pictures, RED, colour_of("blue"))
    assert np.array_equal(dyed[..., 3], pictures[..., 3])
    assert np.array_equal(dyed[pictures[..., 3] == 0], pictures[pictures[..., 3] == 0])
    assert np.array_equal(pictures, before)


CHANNEL = st.floats(0, 1, width=32)
COLOUR = st.tuples(CHANNEL, CHANNEL, CHANNEL)


@settings(max_examples=60, deadline=None)
@given(COLOUR, COLOUR, COLOUR)
def test_any_colours(own, to, other):
    pictures = views(own, other)
    dyed = dye(pictures, own, to)
    assert dyed.shape == pictures.shape
    assert dyed.dtype == np.uint8
