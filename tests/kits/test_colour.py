"""Main colours of pictures that are painted by the pixel."""

import numpy as np
import pytest

from backend.kits.colour import main_colour, oklab


def pictures(*patches):
    """Views whose solid pixels are patches of (count, sRGB, shades): each colour times factors from dark to light."""
    rng = np.random.default_rng(0)
    pixels = [rng.uniform(*shades, (count, 1)) * np.array(colour) for count, colour, shades in patches]
    solid = np.concatenate(pixels).clip(0, 255)
    views = np.zeros((2, 64, 64, 4), np.uint8)
    flat = views.reshape(-1, 4)
    flat[:, :3] = (0, 255, 0)  # what is empty does not count
    flat[: len(solid), :3], flat[: len(solid), 3] = solid, 255
    return views


RED, WOOD, BLACK, WHITE, BLUE = (200, 20, 25), (150, 110, 70), (20, 20, 22), (245, 245, 245), (40, 60, 200)


@pytest.mark.parametrize(
    ("patches", "expected", "share"),
    [
        ([(1000, RED, (0.5, 1))], RED, 1.0),
        ([(900, RED, (0.5, 1)), (400, WOOD, (0.6, 1))], RED, 0.69),  # a sofa on wooden legs
        ([(800, RED, (0.5, 1)), (1100, BLACK, (0.5, 1))], RED, 0.42),  # a car: tyres and panes
        ([(1500, WHITE, (0.6, 1)), (500, BLUE, (0.6, 1))], WHITE, 0.75),  # a chair with a cushion
        ([(1000, BLACK, (0.5, 1)), (100, BLUE, (0.6, 1))], BLACK, 0.91),
    ],
)
def test_the_colour_that_people_would_name(patches, expected, share):
    colour, found = main_colour(pictures(*patches))
    hue, right = oklab(np.array([colour])), oklab(np.array([expected]) / 255)
    assert np.abs(hue - right)[0, 1:].max() < 0.03
    assert abs(hue - right)[0, 0] < 0.12
    assert found == pytest.approx(share, abs=0.06)


def test_oklab_is_that_of_its_author():
    """The pairs that Ottosson publishes, of XYZ turned to sRGB where they are in gamut: white, and a grey."""
    np.testing.assert_allclose(oklab(np.array([[1.0, 1, 1]])), [[1, 0, 0]], atol=1e-3)
    np.testing.assert_allclose(oklab(np.array([[1.0, 0, 0]])), [[0.62796, 0.22486, 0.12585]], atol=1e-4)


def test_an_empty_picture_has_no_share():
    assert main_colour(np.zeros((2, 8, 8, 4), np.uint8)) == ((0.5, 0.5, 0.5), 0.0)
