"""Computes the content of toy.json from trajectories and probes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.priors.base import Prior
from backend.studies.toy.experiment import ANNEALED, PAPER_STEPS, SEEDS, STARTS, Task, Variant, Walk, walk
from backend.studies.toy.measure import Probe, noise_share, pooled, probe, variance, within
from backend.studies.toy.modes import COUNT, HELD, entropy, histogram, landed, log_density, means

FEWER = 200  # seeds of the tasks besides the main one


@dataclass(frozen=True)
class Measured:
    """One rule on one prior."""

    name: str
    free: Walk  # no class, t uniform
    annealed: Walk  # no class, t falling
    guided: Walk  # a class with guidance, t uniform
    probe: Probe  # a class with guidance
    free_probe: Probe  # no class

    def first_pairs(self) -> tuple[Tensor | None, Tensor | None]:
        """Estimates and control variates (10,S,N,2) of the paper's ten steps, with guidance."""
        return first_steps(self.guided)


def first_steps(done: Walk) -> tuple[Tensor | None, Tensor | None]:
    """Estimates and control variates (10,S,N,2) of a walk's first ten steps."""
    if done.estimate is None or done.control is None:
        return None, None
    return done.estimate[:PAPER_STEPS], done.control[:PAPER_STEPS]


def measure(variant: Variant, prior: Prior, seeds: int, steps: int) -> Measured:
    """All walks and probes of one rule."""
    fewer = min(seeds, FEWER)
    free = walk(variant, prior, Task(seeds, steps))
    annealed = walk(variant, prior, Task(fewer, steps, ANNEALED))
    guided = walk(variant, prior, Task(fewer, steps, classes=True))
    probes = (probe(done.objective, prior, classes) for done, classes in ((guided, True), (free, False)))
    return Measured(variant.name, free, annealed, guided, *probes)


def counts(seeds: int) -> list[int]:
    """The paper's numbers of seeds that are below the number of seeds, and that number."""
    return [*(many for many in SEEDS if many < seeds), seeds]


def start_name(index: int) -> str:
    """A start as toy.json names it."""
    return f"{STARTS[index][0]:g},{STARTS[index][1]:g}"


def summary(found: list[Measured]) -> dict[str, Any]:
    """Everything measured on one prior: a table by objective for each quantity."""

    def table(of: Callable[[Measured], Any]) -> dict[str, Any]:
        return {measured.name: of(measured) for measured in found}

    return {
        "correlation": table(lambda m: pooled(*m.first_pairs())),
        "correlation_without_guidance": table(lambda m: pooled(*first_steps(m.free))),
        "correlation_from_draw_to_draw": table(lambda m: within(m.probe.estimate, m.probe.control)),
        "gradient_variance": table(lambda m: variance(m.probe.gradient)),
        "gradient_variance_without_guidance": table(lambda m: variance(m.free_probe.gradient)),
        "gradient_noise_share": table(lambda m: noise_share(m.probe.gradient)),
        "gradient_noise_share_without_guidance": table(lambda m: noise_share(m.free_probe.gradient)),
        **endings(found, lambda m: m.free.path[-1]),
        "annealed": endings(found, lambda m: m.annealed.path[-1]),
        "ten_steps": endings(found, lambda m: m.free.path[min(PAPER_STEPS, len(m.free.path) - 1)]),
        "asked": table(_class_hits),
    }


def endings(found: list[Measured], of: Callable[[Measured], Tensor]) -> dict[str, Any]:
    """Measures of the points (S,N,2), by objective, start and number of seeds."""
    measures: dict[str, Callable[[Tensor], Any]] = {
        "mode_entropy": lambda x: entropy(histogram(landed(x))),
        "mode_entropy_of_nearest": lambda x: entropy(histogram(torch.cdist(x, means()).argmin(1))),
        "modes_reached": lambda x: int((histogram(landed(x)) * HELD >= len(x)).sum()),
        "landed": lambda x: float((landed(x) >= 0).float().mean()),
        "mode_counts": lambda x: histogram(landed(x)).tolist(),
        "negative_log_likelihood": lambda x: -float(log_density(x).mean()),
    }
    return {
        name: {
            m.name: {
                start_name(s): {str(many): how(of(m)[s, :many]) for many in counts(of(m).shape[1])}
                for s in range(len(STARTS))
            }
            for m in found
        }
        for name, how in measures.items()
    }


def _class_hits(measured: Measured) -> dict[str, float]:
    """How well the points reached their class: the share in their own mode, and -log p under it (median)."""
    points = measured.guided.path[-1]
    target = (torch.arange(points.shape[1]) % COUNT).repeat(len(STARTS))
    flat = points.flatten(0, 1)
    return {
        "hit": float((landed(flat) == target).float().mean()),
        "median_negative_log_likelihood": -float(log_density(flat, target).median()),
    }


def finite(value: Any) -> Any:
    """The same with numbers rounded, and null for NaN and infinity."""
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list):
        return [finite(below) for below in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
