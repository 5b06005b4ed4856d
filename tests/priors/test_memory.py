"""What large priors take of a card's memory, by tensors without contents."""

import pytest
from memory_peak import peak_of_a_step


@pytest.mark.parametrize(("kind", "views", "most"), [("sd2.1-base", 4, 4.5), ("sdxl", 2, 11.0)])
def test_a_step_fits(kind, views, most, monkeypatch):
    weights, rest = peak_of_a_step(kind, views, monkeypatch)
    assert weights > 1.5
    assert weights + rest < most


def test_more_views_take_little_more(monkeypatch):
    """Going back through the VAE one view at a time: the pictures and the U-Net's own forward alone grow."""
    (_, one), (_, four) = (peak_of_a_step("sd2.1-base", views, monkeypatch) for views in (1, 4))
    assert four < 1.5 * one
