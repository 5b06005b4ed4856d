"""Diversity of known features and of real splats."""

import pytest
import torch

from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.judge import Judge


def test_diversity_of_known_features():
    same = torch.randn(1, 3, 16).expand(4, -1, -1)
    assert diversity(same) == pytest.approx(0, abs=1e-6)
    assert diversity(torch.eye(4)[:, None].expand(-1, 2, -1)) == pytest.approx(1)
    angle = torch.tensor(60.0).deg2rad()
    pair = torch.stack([torch.tensor([[1.0, 0.0]]), torch.stack([angle.cos(), angle.sin()])[None] * 7])
    assert diversity(pair) == pytest.approx(0.5, abs=1e-6)


def test_judge_tells_a_stripe_from_a_disc():
    side = torch.linspace(-1, 1, 96)
    disc = (side[:, None] ** 2 + side**2 > 0.4).float()[..., None].expand(-1, -1, 3)
    stripe = (side.abs() > 0.2).float()[:, None, None].expand(96, 96, 3)
    features = Judge().features(torch.stack([disc, disc.roll(3, 0), stripe]))
    assert features.shape == (3, 1280)
    near, far = (diversity(features[pick][:, None]) for pick in ([0, 1], [0, 2]))
    assert near < 0.5 * far
