"""What large priors take of a card's memory, by tensors without contents."""

import pytest
from memory_peak import peak_of_a_step

from backend.priors.card_memory import BESIDE, GIB, PEAK_GIB, family_of, most_views, peak_bytes


@pytest.mark.parametrize(
    ("family", "views", "weights", "limit"),
    [
        ("sd-512", 4, 1.77, 4.5),  # 866 million parameters of the U-Net, 84 million of the VAE; with room in 8 GB
        ("sd-768", 4, 1.77, 6.0),
        ("sdxl", 2, 4.94, 11.0),  # 2,567 million; with room in 12 GB
        ("if", 8, 8.02, 11.0),
    ],
)
def test_the_table_says_what_a_step_takes(monkeypatch, family, views, weights, limit):
    counted, rest = peak_of_a_step(family, views, monkeypatch)
    assert counted == pytest.approx(weights, abs=0.01)
    assert PEAK_GIB[family][views] - 0.1 < counted + rest <= PEAK_GIB[family][views] < limit


def test_a_view_more_takes_little_more(monkeypatch):
    """Views go through the VAE one by one and come back block by block."""
    (_, one), (_, four) = (peak_of_a_step("sd-512", views, monkeypatch) for views in (1, 4))
    assert four < 1.4 * one


@pytest.mark.parametrize(
    ("family", "card", "views"),
    [
        ("sd-512", 4, 1),
        ("sd-512", 6, 8),
        ("sd-768", 6, 4),
        ("sdxl", 8, 0),
        ("sdxl", 11, 2),
        ("sdxl", 12, 4),
        ("if", 8, 0),
    ],
)
def test_how_many_views_fit_a_card(family, card, views):
    assert most_views(family, card * GIB) == views


def test_between_and_beyond_the_rows_of_the_table():
    assert peak_bytes("sd-512", 3) == peak_bytes("sd-512", 4) == round((3.1 + BESIDE) * GIB)
    assert peak_bytes("sd-512", 16) == round((3.7 + 8 * 0.15 + BESIDE) * GIB)


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"in_channels": 4, "sample_size": 64}, "sd-512"),
        ({"sample_size": 96}, "sd-768"),
        ({"addition_embed_type": "text_time", "sample_size": 128}, "sdxl"),
        ({"in_channels": 3, "sample_size": 64}, "if"),
    ],
)
def test_a_family_is_told_from_the_configuration(config, family):
    assert family_of(config) == family
