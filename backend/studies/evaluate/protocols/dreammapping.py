"""DreamMapping's figures (Cai et al., 2409.05099): the CLIP score by two models, and 3D-FID.

The cameras are those of LucidDreamer's released code, on which DreamMapping was built (`GenerateCircleCameras` and its
defaults): a circle at the object's height, at distance 3.5, with a field of view of 0.55, on white.  CLIP score: 100 x
cosine of prompt and picture, averaged over the views.  3D-FID: the Frechet distance between Inception's features of all
the views of all the results, and those of pictures by the same prior, of the same prompts, in 50 steps of DPM-Solver++;
of a kit they are the pictures of its own objects.  Cameras, guidance and number of pictures are not in what could be
read of the paper, so the figures beside its own are for orientation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from backend.cameras import orbit
from backend.priors.base import Prior, PriorError
from backend.priors.catalogue import CataloguePrior
from backend.run.assemble import load_prior
from backend.run.devices import choose_device
from backend.studies.evaluate.dpm_solver import dpm_solver_sample
from backend.studies.evaluate.measures import fid
from backend.studies.evaluate.optional_judges import CLIP, clip_scores
from backend.studies.evaluate.protocols.records import Record
from backend.studies.evaluate.protocols.rows import Plan, Row, by_method, counted, each, known, mean
from backend.studies.evaluate.protocols.subjects import Subject, circle, seen
from backend.studies.evaluate.references import (
    EACH,
    ELEVATION,
    SIDES,
    draw,
    own_views,
    prior_checksum,
    with_all_objects,
)
from backend.terminal import skipped

DISTANCE, FOV, WHITE = 3.5, math.degrees(0.55), 1.0
LARGE, HUGE = "CLIP ViT-L/14", "CLIP ViT-bigG-14"
FID, OTHER_FID = "3D-FID", "FID (EfficientNet)"
COLUMNS = (LARGE, HUGE, FID, OTHER_FID)
Features = Callable[[Tensor], Tensor]  # pictures (B,H,W,3) in [0,1] -> (B,D)
Views = Callable[[], list[Tensor]]  # pictures (B,H,W,3) of a result, rendered when the first judge wants them


@dataclass(frozen=True)
class DreamMappingJudges:
    """CLIP models by column; the features for the distance, and its column.  Each with the mark of its weights."""

    clips: dict[str, tuple[CLIP, str]]
    features: Features
    mark: str
    distance: str


def evaluate(subjects: Sequence[Subject], judges: DreamMappingJudges, plan: Plan) -> list[Row]:
    """A row for each method."""
    scores: dict[Subject, dict[str, float]] = {}
    features: dict[Subject, Tensor] = {}
    own = _OwnPictures(judges, plan)

    def evaluate_one(subject: Subject) -> None:
        views = cache(lambda: _pictures(subject, plan))
        scores[subject] = _clip_scores(subject, judges, plan, views)
        if plan.samples and own.of(subject) is not None:
            features[subject] = _features(subject, judges, plan, views)

    each(subjects, evaluate_one, "evaluating")
    return [
        _row(method, members, scores, features, own, judges.distance) for method, members in by_method(scores).items()
    ]


def _pictures(subject: Subject, plan: Plan) -> list[Tensor]:
    return list(seen(subject.splats(), circle(plan.views, 0.0, DISTANCE, FOV), plan.side, WHITE))


def _mark(subject: Subject, plan: Plan) -> str:
    return f"{subject.mark}-{plan.side}-{plan.views}"


def _clip_scores(subject: Subject, judges: DreamMappingJudges, plan: Plan, views: Views) -> dict[str, float]:
    record, found = subject.record(plan.folder), dict[str, float]()
    for name, (clip, weights) in judges.clips.items():

        def score(clip: CLIP = clip) -> float:
            each_view = [clip_scores(clip, some, subject.prompt) for some in views()]
            return float(torch.cat(each_view).mean())

        found[name] = record.part(name, f"{_mark(subject, plan)}-{weights}", score)
    return found


def _features(subject: Subject, judges: DreamMappingJudges, plan: Plan, views: Views) -> Tensor:
    def compute() -> dict[str, Tensor]:
        return {"features": torch.cat([judges.features(some) for some in views()])}

    mark = f"{_mark(subject, plan)}-{judges.mark}"
    return subject.record(plan.folder).arrays("features", mark, compute)["features"]


class _OwnPictures:
    """The judge's features of each prior's own pictures of a prompt, drawn once."""

    def __init__(self, judges: DreamMappingJudges, plan: Plan) -> None:
        self.judges, self.plan = judges, plan
        self.known: dict[tuple[str, str], Tensor | None] = {}

    def of(self, subject: Subject) -> Tensor | None:
        """Features (N,D), None where the prior cannot be used, which is reported once."""
        key = self.key(subject)
        if key not in self.known:
            self.known[key] = self._draw(subject, key)
        return self.known[key]

    def key(self, subject: Subject) -> tuple[str, str]:
        """What these pictures depend on: the prior with its LoRAs, and the prompt."""
        return prior_checksum(subject.job.prior, subject.job.loras), subject.prompt

    def _draw(self, subject: Subject, key: tuple[str, str]) -> Tensor | None:
        def compute() -> dict[str, Tensor]:
            prior, _ = load_prior(with_all_objects(subject.job), choose_device("auto"))
            return {"features": self.judges.features(own_pictures(prior, subject.prompt))}

        record = Record(self.plan.folder, {"prompt": subject.prompt, "prior": key[0]})
        try:
            return record.arrays("own", f"{key[0]}-{self.judges.mark}", compute)["features"]
        except PriorError as error:
            skipped(f"the distance of {subject.prompt!r} to its prior's own pictures, as {error}")
            return None


def own_pictures(prior: Prior, prompt: str) -> Tensor:
    """A prior's own pictures (N,H,W,3) of a prompt: of a kit its objects, else SIDES x EACH samples."""
    if isinstance(prior, CataloguePrior):
        return own_views(prior)[0]
    around = orbit(SIDES, elevation=ELEVATION)
    return torch.cat([draw(prior, prompt, around, seed, sampler=dpm_solver_sample) for seed in range(EACH)])


def _row(
    method: str,
    members: Sequence[Subject],
    scores: dict[Subject, dict[str, float]],
    features: dict[Subject, Tensor],
    own: _OwnPictures,
    distance: str,
) -> Row:
    values = {name: mean(scores[subject].get(name) for subject in members) for name in (LARGE, HUGE)}
    about = counted(len({subject.prompt for subject in members}), "prompt")
    if drawn := [subject for subject in members if subject in features]:
        one = torch.cat([features[subject] for subject in drawn])
        other = torch.cat([*{own.key(subject): _there(own.of(subject)) for subject in drawn}.values()])
        if min(len(one), len(other)) > 1:
            values[distance] = fid(one, other)
        about += f", {len(one)} views against {counted(len(other), 'picture')}"
        if min(len(one), len(other)) <= one.shape[1]:
            about += f" (few for {one.shape[1]} features: the distance is too large)"
    return Row(method, known(values), about, ours=True)


def _there(features: Tensor | None) -> Tensor:
    assert features is not None  # a subject has features only where its prior has
    return features
