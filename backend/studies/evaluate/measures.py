"""The figures of `evaluate`, as functions of features and probabilities, with their sources."""

from __future__ import annotations

import math

import scipy.stats
import torch
import torch.nn.functional as F
import trimesh
from torch import Tensor

from backend.cameras import half_turn

SMOOTHINGS = 3
LEAST_CONTRAST = 0.02  # below it the judge does not distinguish front and back


def entropy(p: Tensor) -> Tensor:
    """H of distributions (...,K) in nats."""
    terms: Tensor = torch.special.entr(p)
    return terms.sum(-1)


def inception_quality(p: Tensor) -> float:
    """Mean entropy over views (..,K): lower where the judge is sure what it sees (DiverseDream 2312.02192, "IQ")."""
    return float(entropy(p).mean())


def inception_variance(p: Tensor) -> float:
    """Entropy of the mean over seeds (S,V,K), averaged over views: higher where seeds differ (DiverseDream, "IV")."""
    return float(entropy(p.mean(0)).mean())


def fid(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features (N,D), (M,D) as Gaussians (Heusel et al., 1706.08500).

    With fewer pictures than dimensions it is biased upwards; compare at equal N and M only.  The covariances are then
    singular, so the trace of the root of their product is computed without them: it is the nuclear norm of A B^T, where
    A^T A and B^T B are the covariances.
    """
    a, b = one.double(), other.double()
    spread_a, spread_b = ((x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b))
    small_a, small_b = (torch.linalg.qr(spread, mode="r").R for spread in (spread_a, spread_b))
    shared = torch.linalg.matrix_norm(small_a @ small_b.T, "nuc")
    return float(
        (a.mean(0) - b.mean(0)).square().sum() + spread_a.square().sum() + spread_b.square().sum() - 2 * shared
    )


def kid(one: Tensor, other: Tensor) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y/D + 1)^3, unbiased (Binkowski et al., 1801.01401)."""
    a, b = one.double(), other.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        k, n = kernel(x, x), len(x)
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def t3_score(scores: Tensor) -> float:
    """T3Bench's quality (2310.02977) from a score for each vertex of an icosphere of two subdivisions, (162,).

    Scores are averaged with their neighbours' three times, and the largest is the result, so that a single good view
    among bad ones, as of an object with several faces, does not count for much.
    """
    neighbours = trimesh.creation.icosphere(subdivisions=2).vertex_neighbors
    for _ in range(SMOOTHINGS):
        scores = torch.stack([scores[[i, *near]].mean() for i, near in enumerate(neighbours)])
    return float(scores.max())


def janus(views: Tensor, azimuth: Tensor, front: Tensor, back: Tensor) -> float | None:
    """Share of the views from behind that look more like the front: 0 for one face, 1 for a second one at the back.

    Args:
        views: features (V,D) of the result, seen from `azimuth` (V,) in degrees, 0 in front.
        front, back: features (F,D), (B,D) of reference pictures from there.

    None where the judge does not distinguish front and back, as with a bottle.
    """
    ahead, behind = F.normalize(front.mean(0), dim=-1), F.normalize(back.mean(0), dim=-1)
    if 1 - float(ahead @ behind) < LEAST_CONTRAST:
        return None
    turned = half_turn(azimuth).abs() > 90
    unit = F.normalize(views[turned], dim=-1)
    return float((unit @ ahead > unit @ behind).float().mean())


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95 % interval by Student's t; None for a single value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(scipy.stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
