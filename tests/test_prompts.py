"""The prompt for each view, and Perp-Neg's weights."""

import math

import pytest
import torch

from backend.cameras import Cameras
from backend.priors.base import Condition
from backend.run.prompts import Prompts


class Speller:
    """A prior's text side only: a text becomes its letters' codes, so that a test can read a condition back."""

    def condition(self, texts, cameras=None):
        codes = [[ord(letter) for letter in text.ljust(60)] for text in texts]
        return Condition(torch.tensor(codes, dtype=torch.float32)[..., None])


def read(condition, row):
    return "".join(chr(round(code)) for code in condition.tokens[row, :, 0].tolist()).strip()


def cameras(azimuths, elevation=0.0):
    rows = torch.tensor(azimuths, dtype=torch.float32)
    return Cameras(rows, torch.full_like(rows, elevation), torch.ones_like(rows), torch.full_like(rows, 40.0))


def test_each_view_gets_its_word():
    conditions = Prompts(Speller(), "a cup", "ugly").conditions(cameras([0, 90, 180]))
    assert [read(conditions.y, row) for row in range(3)] == [
        "a cup, front view",
        "a cup, side view",
        "a cup, back view",
    ]
    assert read(conditions.null, 1) == ""
    assert read(conditions.away, 1) == "ugly"
    assert conditions.perp == ()


def test_without_view_words_or_negative():
    conditions = Prompts(Speller(), "a cup", views=False).conditions(cameras([10, 200]))
    assert read(conditions.y, 1) == "a cup"
    assert conditions.neg is None
    assert conditions.away is conditions.null


@pytest.mark.parametrize(
    ("azimuth", "word", "away", "weights"),
    [
        (0, "front", ("front", "side"), (4 * math.exp(-0.5) - 2.426, 4 - 2.426)),
        (-180, "back", ("side", "front"), (1 - 0.606, 1 + 0.967)),
    ],
)
def test_perp_neg_at_the_ends(azimuth, word, away, weights):
    conditions = Prompts(Speller(), "a cup", perp_neg=True).conditions(cameras([azimuth]))
    assert read(conditions.y, 0) == f"a cup, {word} view"
    for (condition, weight), away_word, expected in zip(conditions.perp, away, weights, strict=True):
        assert read(condition, 0) == f"a cup, {away_word} view"
        assert float(weight) == pytest.approx(-expected, abs=1e-5)


def test_perp_neg_blends_between_views_and_leaves_overhead_alone():
    prompts = Prompts(Speller(), "a cup", perp_neg=True)
    blended = prompts.conditions(cameras([22.5])).y.tokens
    front, side = (Speller().condition([f"a cup, {word} view"]).tokens for word in ("front", "side"))
    torch.testing.assert_close(blended, 0.75 * front + 0.25 * side)
    above = prompts.conditions(cameras([22.5], elevation=75.0))
    assert read(above.y, 0) == "a cup, overhead view"
    assert all(float(weight) == 0 for _, weight in above.perp)
