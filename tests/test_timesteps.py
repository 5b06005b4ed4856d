"""The window of t moves as the recipe says, and never leaves the schedule."""

import pytest
import torch

from backend.job.timesteps import Timesteps, sample_t


def draws(window, progress, count=2000):
    generator = torch.Generator().manual_seed(0)
    return torch.stack([sample_t(window, progress, 1000, 1, generator) for _ in range(count)]).float()


def test_uniform_in_the_window():
    t = draws(Timesteps(low_start=0.2, high_start=0.6), 0.0)
    assert 200 <= t.min() < 215
    assert 585 < t.max() <= 600
    assert t.mean().item() == pytest.approx(400, abs=8)


def test_window_moves_linearly():
    window = Timesteps(low_start=0.98, high_start=0.98, low_end=0.25, high_end=0.25)
    assert [int(draws(window, p, 1)) for p in (0.0, 0.5, 1.0)] == [980, 615, 250]


def test_one_level_for_all_views_inside_the_schedule():
    generator = torch.Generator().manual_seed(3)
    for edge in (Timesteps(low_start=0, high_start=0), Timesteps(low_start=1, high_start=1)):
        t = sample_t(edge, 0.0, 1000, 5, generator)
        assert t.shape == (5,)
        assert len(set(t.tolist())) == 1
        assert 1 <= int(t[0]) <= 998
