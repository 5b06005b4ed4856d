"""What large priors take of a card's memory, by tensors without contents."""

import pytest
from memory_peak import peak_of_a_step


def test_a_step_of_stable_diffusion_fits_into_a_card_of_8_gb(monkeypatch):
    weights, rest = peak_of_a_step("sd2.1-base", 4, monkeypatch)
    assert weights == pytest.approx(1.77, abs=0.01)  # 866 million parameters of the U-Net, 84 million of the VAE
    assert weights + rest < 4.5


def test_more_views_take_little_more(monkeypatch):
    """Going back through the VAE one view at a time: the pictures and the U-Net's own forward alone grow."""
    (_, one), (_, four) = (peak_of_a_step("sd2.1-base", views, monkeypatch) for views in (1, 4))
    assert four < 1.5 * one
