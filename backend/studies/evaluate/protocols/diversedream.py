"""DiverseDream's figures (Tran et al., 2312.02192), after its released code: how the results of a prompt differ.

120 views on a circle, 15 degrees above the object, at distance 1.5 with a field of view of 70 degrees (its tsd.yaml and
threestudio's defaults).  For the results of several seeds of one prompt, of each method (its evaluate/eval.py):

    IV          entropy of the mean probabilities of all views of all results, as in that code: higher is more diverse
    IV a view   the same for each view alone, averaged: what differs between results, not between sides
    IQ          mean entropy of a view: lower where the classifier is sure
    cosine      of DINO's features, for each pair of results from the same side, averaged: lower is more diverse

The results should have one start and differ in their noise alone, as `compare --one-start` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.job.job import Job
from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.measures import inception_quality, inception_variance
from backend.studies.evaluate.protocols.rows import Plan, Row, by_method, counted, each, known, mean
from backend.studies.evaluate.protocols.subjects import Subject, circle, seen
from backend.terminal import note, skipped

DISTANCE, FOV, ELEVATION, GREY = 1.5, 70.0, 15.0, 0.5
IV, IV_VIEW, IQ, COSINE, OTHER = "IV", "IV a view", "IQ", "cosine", " (EfficientNet)"
COLUMNS = (IV, IV_VIEW, IQ, COSINE, *(name + OTHER for name in (IV, IV_VIEW, IQ)))
Judged = Callable[[Tensor], Tensor]  # pictures (B,H,W,3) in [0,1] -> (B,K)


@dataclass(frozen=True)
class DiverseDreamJudges:
    """The classifier's probabilities, and DINO's features, each with the mark of its weights."""

    probabilities: tuple[Judged, str]
    suffix: str  # of the classifier's columns: "" for Inception, else OTHER
    dino: tuple[Judged, str] | None


def evaluate(subjects: Sequence[Subject], judges: DiverseDreamJudges, plan: Plan) -> list[Row]:
    """A row for each method with several results of a prompt."""
    probabilities: dict[Subject, Tensor] = {}
    features: dict[Subject, Tensor] = {}

    def evaluate_one(subject: Subject) -> None:
        found = _judged(subject, "probabilities", judges.probabilities, plan)
        if judges.dino is not None:
            features[subject] = _judged(subject, "dino", judges.dino, plan)
        probabilities[subject] = found

    each(subjects, evaluate_one, "evaluating")
    rows = []
    for method, members in by_method(probabilities).items():
        if groups := _groups(method, members):
            figures = [_figures(group, probabilities, features, judges.suffix) for group in groups]
            values = {name: mean(one.get(name) for one in figures) for name in COLUMNS}
            rows.append(Row(method, known(values), _about(groups), ours=True))
    return rows


def all_views_variance(probabilities: Tensor) -> float:
    """Entropy of the mean over results and views (S,V,K): DiverseDream's IV as its released code has it."""
    return inception_variance(probabilities.flatten(0, 1)[:, None])


def has_one_start(jobs: Sequence[Job]) -> bool:
    """Whether jobs begin with the same splats: drawn by one seed of their own, or another job's."""
    (seed, other, *_), *more = {(job.recipe.start_seed, job.start_from, job.start, job.init_mesh) for job in jobs}
    return not more and (seed is not None or other is not None)


def _groups(method: str, members: Sequence[Subject]) -> list[list[Subject]]:
    """The results of each prompt that has several; what is left out, or has no common start, is reported."""
    prompts: dict[str, list[Subject]] = {}
    for subject in members:
        prompts.setdefault(subject.prompt, []).append(subject)
    groups = [group for group in prompts.values() if len(group) > 1]
    if single := len(prompts) - len(groups):
        skipped(f"{method}: {counted(single, 'prompt')} with a single result; diversity needs two seeds or more.")
    if apart := sum(not has_one_start([subject.job for subject in group]) for group in groups):
        note(
            f"{method}: the results of {counted(apart, 'prompt')} did not begin with the same splats, so their starts "
            "differ too; compare --one-start makes runs from one start."
        )
    return groups


def _judged(subject: Subject, part: str, judge: tuple[Judged, str], plan: Plan) -> Tensor:
    judged, weights = judge

    def compute() -> dict[str, Tensor]:
        pictures = seen(subject.splats(), circle(plan.views, ELEVATION, DISTANCE, FOV), plan.side, GREY)
        return {part: torch.cat([judged(some) for some in pictures])}

    mark = f"{subject.mark}-{plan.side}-{plan.views}-{weights}"
    return subject.record(plan.folder).arrays(part, mark, compute)[part]


def _figures(
    group: Sequence[Subject], probabilities: dict[Subject, Tensor], features: dict[Subject, Tensor], suffix: str
) -> dict[str, float]:
    p = torch.stack([probabilities[subject] for subject in group])
    found = {IV: all_views_variance(p), IV_VIEW: inception_variance(p), IQ: inception_quality(p)}
    named = {name + suffix: value for name, value in found.items()}
    if all(subject in features for subject in group):
        named[COSINE] = 1 - diversity(torch.stack([features[subject] for subject in group]))
    return named


def _about(groups: Sequence[Sequence[Subject]]) -> str:
    sizes = sorted({len(group) for group in groups})
    several = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{counted(len(groups), 'prompt')}, {several} results each"
