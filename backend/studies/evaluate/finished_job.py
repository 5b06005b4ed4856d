"""Evaluates one finished job with the judge and against its prior's objects; figures are kept in `evaluation.json`."""

from __future__ import annotations

import logging
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from backend.cameras import Cameras, orbit
from backend.errors import UserError
from backend.export.views import photograph
from backend.files import replacing
from backend.job.job import Job, make_job, read_job
from backend.priors.base import PriorError
from backend.priors.catalogue import CataloguePrior
from backend.priors.kit import kit_folder
from backend.run.assemble import load_prior, make_objective
from backend.run.devices import choose_device
from backend.run.folder import JobFolder
from backend.run.particle_folders import particle_in
from backend.scenes.image import saturation
from backend.scenes.splats import Splats
from backend.studies.evaluate.classes import classes_of
from backend.studies.evaluate.judge import Judge
from backend.studies.evaluate.measures import inception_quality, t3_score
from backend.studies.evaluate.nearest import Likeness, likeness
from backend.studies.evaluate.references import ELEVATION, prior_checksum
from backend.studies.evaluate.sphere import sphere_cameras
from backend.terminal import with_command

VIEWS, SIDE, GREY = 48, 128, 0.5
VERSION = 5  # of the figures and of evaluation.npz; other versions are computed again
log = logging.getLogger(__name__)
DIVERSE = slice(None, None, VIEWS // 8)  # of the views, for comparisons between seeds: eight of fixed sides


class Cost(msgspec.Struct, frozen=True):
    """Part of metrics.json: the cost of the run."""

    seconds: float
    prior_calls: float
    prior_rows: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one job."""

    version: int
    mark: str  # a checksum of the splats, the job and the prior that they were compared with
    agreement: float | None  # mean probability of the prompt's classes over views; None: there are no such classes
    top5: float | None  # share of views where one of them is among the five most likely
    t3: float | None  # T3Bench's quality, from the same probability on its sphere of views
    quality: float  # mean entropy over views
    saturation: float
    seconds: float
    prior_calls: int
    prior_rows: int
    likeness: Likeness | None  # None: the prior is not a kit


@dataclass(frozen=True)
class EvaluatedJob:
    """A job, its figures, and the judge's features (V,D) and probabilities (V,K) for VIEWS sides."""

    folder: Path
    job: Job
    figures: Figures
    features: Tensor
    probabilities: Tensor


class EvaluationError(UserError):
    """A folder that cannot be evaluated: one sentence."""


def evaluate_job(folder: Path, judge: Judge) -> EvaluatedJob:
    """Evaluate a job's folder, or read the figures of an earlier call.

    Raises EvaluationError where it is not the folder of a job, or the job has not finished.
    """
    job = finished_job(folder)
    try:
        cost = msgspec.json.decode((folder / "metrics.json").read_bytes(), type=Cost)
        mark = _checksum(folder, job)
        if (old := _read(folder, mark)) is not None:
            return EvaluatedJob(folder, job, *old)
        return _evaluate(folder, job, cost, mark, judge)
    except (ValueError, OSError) as error:  # a MsgspecError is a ValueError
        raise damaged(folder, error) from error


def finished_job(folder: Path) -> Job:
    """The job of a folder whose results are there.  Raises EvaluationError as `evaluate_job` does."""
    if not (folder / "job.json").exists():
        raise EvaluationError(f"{folder}: has no job.json, so it is not the folder of a job.")
    if not all((folder / name).exists() for name in ("splats.ply", "metrics.json")):
        run = folder.absolute().parent if particle_in(folder) else folder.absolute()
        command = with_command(["generate", "--continue", str(run)])
        raise EvaluationError(f"{folder}: its job has not finished. Continue it{command}")
    try:
        job = make_job(read_job(folder / "job.json"))
        make_objective(job.objective, job.recipe.options)  # refuses options of older versions
    except (ValueError, OSError) as error:  # a MsgspecError is a ValueError
        raise damaged(folder, error) from error
    return job


def damaged(folder: Path, error: Exception) -> EvaluationError:
    """The error for a job of which a file cannot be read."""
    return EvaluationError(f"{folder}: one of its files is damaged or cannot be read ({error}).")


def _checksum(folder: Path, job: Job) -> str:
    settings = msgspec.json.encode(job) + prior_checksum(job.prior).encode()
    return f"{zlib.crc32((folder / 'splats.ply').read_bytes(), zlib.crc32(settings)):08x}"


def _evaluate(folder: Path, job: Job, cost: Cost, mark: str, judge: Judge) -> EvaluatedJob:
    splats = JobFolder(folder).splats()
    around = _pictures(splats, orbit(VIEWS, elevation=ELEVATION))
    features = judge.features(around)
    probabilities, classes = judge.probabilities(features), classes_of(job.prompt)
    figures = Figures(
        version=VERSION,
        mark=mark,
        agreement=agreement(probabilities, classes),
        top5=top5(probabilities, classes),
        t3=_t3(splats, judge, classes),
        quality=inception_quality(probabilities),
        saturation=_saturation(splats),
        seconds=cost.seconds,
        prior_calls=int(cost.prior_calls),
        prior_rows=int(cost.prior_rows),
        likeness=_likeness(job, splats),
    )
    try:
        _keep(folder, figures, features, probabilities)
    except OSError as error:
        log.warning("%s: its figures cannot be kept there (%s); the next call computes them again.", folder, error)
    return EvaluatedJob(folder, job, figures, features, probabilities)


def _keep(folder: Path, figures: Figures, features: Tensor, probabilities: Tensor) -> None:
    with replacing(folder / "evaluation.npz") as new, new.open("wb") as stream:
        np.savez(stream, features=features.numpy(), probabilities=probabilities.numpy())
    with replacing(folder / "evaluation.json") as new:
        new.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def agreement(probabilities: Tensor, classes: list[int]) -> float | None:
    """Mean over views (V,K) of the probability of any of the classes."""
    return float(probabilities[:, classes].sum(-1).mean()) if classes else None


def top5(probabilities: Tensor, classes: list[int]) -> float | None:
    """Share of the views (V,K) that have one of the classes among their five most likely."""
    if not classes:
        return None
    best = probabilities.topk(5, -1).indices
    return float(torch.isin(best, torch.tensor(classes)).any(-1).float().mean())


def _t3(splats: Splats, judge: Judge, classes: list[int]) -> float | None:
    if not classes:
        return None
    front = orbit(1)
    cameras = sphere_cameras(2, float(front.distance), float(front.fov))
    seen = judge.probabilities(judge.features(_pictures(splats, cameras)))
    return t3_score(seen[:, classes].sum(-1))


def _likeness(job: Job, splats: Splats) -> Likeness | None:
    """The likeness to the objects that its seed drew; None where the prior is not a kit, or cannot be used any more."""
    if kit_folder(job.prior) is None:
        return None
    try:
        prior, _ = load_prior(job, choose_device("auto"))
        side = min(job.recipe.side(1.0), prior.image_size)  # a run is only as sharp as its pictures
        return likeness(prior, splats, side) if isinstance(prior, CataloguePrior) else None
    except PriorError as error:
        log.warning("The result of %r is not compared with the objects of its kit: %s", job.prompt, error)
        return None


def _pictures(splats: Splats, cameras: Cameras) -> Tensor:
    return torch.from_numpy(photograph(splats, cameras, SIDE, background=GREY).rgb).clamp(0, 1)


def _saturation(splats: Splats) -> float:
    """Saturation of the object without its background, from pixels with alpha above 0.5."""
    seen = photograph(splats, orbit(8, elevation=ELEVATION), SIDE, background=0.0)
    covered = torch.from_numpy(seen.alpha)
    solid = covered > 0.5
    if not bool(solid.any()):
        return 0.0
    return saturation((torch.from_numpy(seen.rgb)[solid] / covered[solid][:, None]).clamp(0, 1))


def _read(folder: Path, mark: str) -> tuple[Figures, Tensor, Tensor] | None:
    """The figures of an earlier call, if they are complete and have this checksum."""
    try:
        figures = msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=Figures)
        with np.load(folder / "evaluation.npz") as data:
            kept = torch.from_numpy(data["features"]), torch.from_numpy(data["probabilities"])
    except (OSError, EOFError, zipfile.BadZipFile, KeyError, ValueError):  # a MsgspecError is a ValueError
        return None
    return (figures, *kept) if (figures.version, figures.mark) == (VERSION, mark) else None
