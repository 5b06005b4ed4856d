"""The finished jobs that a protocol evaluates, and how they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from backend.cameras import Cameras, orbit
from backend.export.views import CHUNK, photograph
from backend.job.job import Job
from backend.run.folder import JobFolder
from backend.scenes.splats import Splats
from backend.studies.evaluate.finished_job import EvaluationError, damaged, finished_job
from backend.studies.evaluate.labels import labels
from backend.studies.evaluate.protocols.records import Record, file_mark
from backend.terminal import skipped


@dataclass(frozen=True, eq=False)
class Subject:
    """A finished job, and the name of its method: its objective, with the settings in which methods differ."""

    folder: Path
    job: Job
    method: str

    @property
    def prompt(self) -> str:
        return self.job.prompt.strip()

    @cached_property
    def mark(self) -> str:
        """A checksum of its results."""
        return file_mark(self.folder / "splats.ply", self.folder / "mesh.glb")

    def splats(self) -> Splats:
        """Its splats in the unit ball.  EvaluationError where they cannot be read."""
        try:
            return JobFolder(self.folder).splats()
        except (ValueError, OSError) as error:  # a MsgspecError is a ValueError
            raise damaged(self.folder, error) from error

    def record(self, folder: Path) -> Record:
        """What an earlier call knows of it."""
        about = {"prompt": self.prompt, "job": str(self.folder.resolve())}
        return Record(folder, about)


def subjects(folders: Sequence[Path]) -> list[Subject]:
    """The finished jobs in these folders, or in the folders in them; what cannot be evaluated is reported."""
    found = list[tuple[Path, Job]]()
    for folder in dict.fromkeys(inner.resolve() for named in folders for inner in _job_folders(named)):
        try:
            found.append((folder, finished_job(folder)))
        except EvaluationError as error:
            skipped(str(error))
    names = labels([job for _, job in found])
    return [Subject(folder, job, name) for (folder, job), name in zip(found, names, strict=True)]


def _job_folders(folder: Path) -> Iterator[Path]:
    inner = [] if (folder / "job.json").exists() else sorted(file.parent for file in folder.glob("*/job.json"))
    yield from inner or [folder]


def circle(views: int, elevation: float, distance: float, fov: float) -> Cameras:
    """Cameras on a circle around the object."""
    around = orbit(views, elevation, fov)
    return Cameras(around.azimuth, around.elevation, torch.full((views,), distance), around.fov)


def seen(splats: Splats, cameras: Cameras, side: int, background: float) -> Iterator[Tensor]:
    """Pictures (B,S,S,3) in [0,1] of the splats, a few cameras at a time, so that many views need little memory."""
    for start in range(0, len(cameras), CHUNK):
        pictures = photograph(splats, cameras[start : start + CHUNK], side, background)
        yield torch.from_numpy(pictures.rgb).clamp(0, 1)
