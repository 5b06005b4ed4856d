"""One job of a server: its folder, its state as it is on the disk, and as clients see it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.files import replacing
from backend.job.job import Job
from backend.run.credits import credits
from backend.run.folder import JobFolder
from shared.messages import ENDED, JobState, Matrix, State

log = logging.getLogger(__name__)

IDENTITY: Matrix = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
THUMBNAIL_SIDE = 96
REMEMBERED = 16  # orders of a job, so that repeated ones are recognised
# Limits of lines and of their characters, so that a job's state always fits into a message.
MOST_WARNINGS, MOST_CREDITS = 20, 200
LONGEST, LONGEST_CREDIT, LONGEST_DETAIL = 2000, 300, 8000


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What state.json holds."""

    state: State
    created: float
    queued: float
    step: int = 0
    of: int
    text: str = ""
    detail: str = ""
    warnings: tuple[str, ...] = ()
    stopping: bool = False  # asked to stop
    run: str = ""  # a new one whenever it is begun or continued, by which a cluster knows it
    orders: tuple[str, ...] = ()  # the latest that were carried out
    credits: tuple[str, ...] = ()
    to_scene: Matrix = IDENTITY


@dataclass
class Entry:
    """One job."""

    id: str
    folder: JobFolder
    job: Job
    record: Record
    thumbnail: NDArray[np.uint8] | None = None
    part_of: str = ""  # the job whose particle this is, if it is not a job of its own
    number: int = 1  # of the particle

    @property
    def ended(self) -> bool:
        """Whether the job is neither waiting nor running."""
        return self.record.state in ENDED

    def state(self, in_list: bool = False) -> JobState:
        """The job as clients see it, within the limits of a message; in a list without its traceback."""
        record = self.record
        detail = self.detail()
        return JobState(
            job=self.id,
            prompt=self.job.prompt,
            part_of=self.part_of or None,
            particle=self.number,
            objective=self.job.objective,
            seed=self.job.seed,
            has_splats=(self.folder / "splats.ply").exists(),
            has_mesh=(self.folder / "mesh.glb").exists(),
            thumbnail=self.thumbnail,
            state=record.state,
            created=record.created,
            step=record.step,
            of=record.of,
            to_scene=record.to_scene,
            text=record.text[:LONGEST],
            detail="" if in_list else detail,
            has_detail=bool(detail),
            warnings=_first(record.warnings, MOST_WARNINGS, LONGEST),
            credits=_first(record.credits, MOST_CREDITS, LONGEST_CREDIT),
        )

    def detail(self) -> str:
        """The traceback of a failure, within the limits of a message."""
        return self.record.detail[-LONGEST_DETAIL:]

    def update(self, **changes: Any) -> None:
        """Change the record, in memory and on disk.  A disk error is only logged: the next change writes again."""
        self.record = msgspec.structs.replace(self.record, **changes)
        try:
            self.write()
        except OSError:
            log.exception("the state of job %s could not be written", self.id)

    def apply(self, order: str, **changes: Any) -> None:
        """Make the changes of an order and record it as carried out: both are on the disk, or neither."""
        self.update(orders=(*self.record.orders, order)[-REMEMBERED:], **changes)

    def warn(self, text: str) -> None:
        """Add a warning, unless it is there already."""
        if text not in self.record.warnings:
            self.update(warnings=(*self.record.warnings, text))

    def end(self, state: State, text: str, detail: str) -> None:
        """The job has ended; its credits are read from metrics.json."""
        self.update(state=state, text=text, detail=detail, stopping=False, credits=credits(self.folder))

    def write(self) -> None:
        """Put the record on the disk."""
        with replacing(self.folder / "state.json") as file:
            file.write_bytes(msgspec.json.encode(self.record))

    def set_step(self, step: int) -> None:
        """Set the step in memory only; it is written with the next change."""
        self.record = msgspec.structs.replace(self.record, step=step)

    def keep_thumbnail(self, picture: NDArray[np.uint8]) -> None:
        """Make a thumbnail of a picture (H,W,3), and keep it."""
        small = Image.fromarray(picture).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        self.thumbnail = np.asarray(small)
        try:
            with replacing(self.folder / "thumbnail.png") as file:
                small.save(file)
        except OSError:
            log.exception("the thumbnail of job %s could not be written", self.id)


def _first(lines: tuple[str, ...], most: int, longest: int) -> tuple[str, ...]:
    """The first lines, shortened, and a line with the number of the others."""
    left = len(lines) - most
    more = [f"and {left} more, in the job's folder"] if left > 0 else []
    return (*(line[:longest] for line in lines[:most]), *more)
