"""Each figure against what it must be for known features and probabilities."""

import math

import numpy as np
import pytest
import torch

from backend.studies.evaluate.classes import class_names, classes_of
from backend.studies.evaluate.finished_job import agreement, top5
from backend.studies.evaluate.measures import fid, inception_quality, inception_variance, interval, janus, kid, t3_score

SURE = torch.eye(4)


def test_entropies_of_sure_and_unsure_judges():
    assert inception_quality(SURE) == pytest.approx(0, abs=1e-6)
    assert inception_quality(torch.full((3, 4), 0.25)) == pytest.approx(math.log(4))
    same, different = SURE[:1].expand(4, 2, 4), SURE[:, None].expand(4, 2, 4)
    assert inception_variance(same) == pytest.approx(0, abs=1e-6)
    assert inception_variance(different) == pytest.approx(math.log(4))


def test_frechets_distance_of_gaussians_with_known_covariances():
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); for C = diag(s^2) the trace is sum (s1 - s2)^2."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, 20_000, 5, generator=generator, dtype=torch.float64)
    scales = torch.tensor([[1.0, 2.0, 3.0, 0.5, 1.0], [2.0, 2.0, 1.0, 0.5, 0.1]])
    one, other = drawn[0] * scales[0], drawn[1] * scales[1] + 1
    assert fid(one, other) == pytest.approx(5 + float((scales[0] - scales[1]).square().sum()), rel=0.03)
    assert fid(one, one) == pytest.approx(0, abs=1e-8)
    few = torch.randn(6, 40, generator=generator)
    assert fid(few, few) == pytest.approx(0, abs=1e-8)  # fewer pictures than dimensions


def test_kid_is_unbiased_and_sees_a_shift():
    generator = torch.Generator().manual_seed(0)
    sets = torch.randn(60, 2, 30, 8, generator=generator)
    same = [kid(one, other) for one, other in sets]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(len(same))
    assert min(kid(one, other + 1) for one, other in sets) > 3 * np.std(same)


def test_t3_wears_down_a_single_good_view():
    assert t3_score(torch.full((162,), 0.7)) == pytest.approx(0.7)
    lonely = torch.zeros(162)
    lonely[5] = 1.0
    assert 1 / 162 < t3_score(lonely) < 0.3


def test_janus_counts_faces_behind():
    azimuth = torch.arange(0, 360, 10.0)
    front, back = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    turn = torch.deg2rad(azimuth) / 2
    honest = torch.stack([turn.cos().abs(), turn.sin().abs()], -1)  # the front fades into the back
    assert janus(honest, azimuth, front, back) == 0
    assert janus(front.expand(36, -1), azimuth, front, back) == 1
    assert janus(honest, azimuth, front, front + 0.01) is None


def test_agreement_over_views():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.0, 0.1, 0.9]])
    assert agreement(p, [0, 1]) == pytest.approx(0.5)
    assert agreement(p, []) is None
    many = torch.arange(20.0).repeat(2, 1)
    assert (top5(many, [15]), top5(many, [14]), top5(many, [])) == (1, 0, None)


def test_an_interval_is_students():
    mean, half = interval([1.0, 2.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(4.3027 / math.sqrt(3), rel=1e-4))
    assert interval([1.0]) == (1.0, None)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a wooden chair", "rocking chair"),
        ("a red sofa, front view", "studio couch"),
        ("a desk lamp", "table lamp"),
        ("a red apple", "granny smith"),
        ("a white toilet", "toilet seat"),
        ("a chair of wood", "folding chair"),
        ("an old leather armchair", "rocking chair"),
        ("a puppy", "golden retriever"),
        ("a couch without cushions", "studio couch"),
    ],
)
def test_the_classes_that_a_prompt_speaks_of(prompt, name):
    assert name in {known for i in classes_of(prompt) for known in class_names()[i]}
    assert len(classes_of(prompt)) < 100


def test_what_imagenet_does_not_have():
    assert classes_of("a cactus") == classes_of("a tree") == classes_of("") == []
    assert classes_of("a wooden chair") == classes_of("a chair with a dog")
    assert len(class_names()) == 1000
