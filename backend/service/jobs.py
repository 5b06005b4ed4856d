"""All jobs of a server: a folder for each on disk, and their states in memory.

    job.json  state.json  init_mesh.ply  thumbnail.png  and what backend.run.folder says

state.json is written last when a job is added, and removed first when it is forgotten: a folder without it is not a
job.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.errors import UserError
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


class UnknownJobError(UserError):
    """There is no such job, or no longer."""


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


class Jobs:
    """The jobs in a folder.  Those left waiting or running are queued again, unless they were asked to stop.

    Where they run on `detached` from the server, those left running are so still.
    """

    def __init__(self, root: Path, detached: bool = False) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        found = (_read(folder) for folder in root.iterdir() if re.fullmatch("[0-9a-f]{32}", folder.name))
        self._entries = {entry.id: entry for entry in found if entry is not None}
        for entry in self._entries.values():
            still_runs = detached and entry.record.state != "queued" and entry.record.run
            if not entry.ended and not still_runs:
                entry.update(state="stopped" if entry.record.stopping else "queued", text="", stopping=False)

    def __contains__(self, job: str) -> bool:
        return job in self._entries

    def __getitem__(self, job: str) -> Entry:
        if job not in self._entries:
            raise UnknownJobError("The backend does not have this job any more: generate it again.")
        return self._entries[job]

    def carried_out(self, job: str | None, order: str) -> bool:
        """Whether this order for a job has been carried out."""
        return job in self._entries and order in self._entries[job].record.orders

    def folder(self, job: str) -> JobFolder:
        """The folder that a job has or will have."""
        return JobFolder(self.root / job)

    def add(self, job: str, spec: Job) -> Entry:
        """Add a new job, whose folder exists, to the queue."""
        now = time.time()
        entry = Entry(
            job,
            self.folder(job),
            spec,
            Record(state="queued", created=now, queued=now, of=spec.recipe.steps),
        )
        entry.write()
        self._entries[job] = entry
        return entry

    def forget(self, job: str) -> None:
        """Delete a job with what there is of its folder."""
        entry = self[job]
        (entry.folder / "state.json").unlink(missing_ok=True)
        del self._entries[job]
        shutil.rmtree(entry.folder.path, ignore_errors=True)

    def listed(self) -> tuple[JobState, ...]:
        """The states of all jobs as in a list, the newest first."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.record.created, reverse=True)
        return tuple(entry.state(in_list=True) for entry in entries)

    def running(self) -> list[Entry]:
        """The jobs that run, in the order in which they began to wait."""
        running = [entry for entry in self._entries.values() if entry.record.state in ("running", "finishing")]
        return sorted(running, key=lambda entry: entry.record.queued)

    def next(self, busy: Collection[str] = ()) -> Entry | None:
        """The job that has waited longest of those whose device is not among the busy ones; None where none waits."""
        waiting = (e for e in self._entries.values() if e.record.state == "queued" and e.job.device not in busy)
        return min(waiting, key=lambda entry: entry.record.queued, default=None)


def _first(lines: tuple[str, ...], most: int, longest: int) -> tuple[str, ...]:
    """The first lines, shortened, and a line with the number of the others."""
    left = len(lines) - most
    more = [f"and {left} more, in the job's folder"] if left > 0 else []
    return (*(line[:longest] for line in lines[:most]), *more)


def _read(folder: Path) -> Entry | None:
    """The job in a folder; None where there is none or it is damaged."""
    if not (folder / "state.json").exists():
        return None
    try:
        record = msgspec.json.decode((folder / "state.json").read_bytes(), type=Record)
        return Entry(folder.name, JobFolder(folder), JobFolder(folder).job(), record, _thumbnail(folder))
    except (OSError, msgspec.MsgspecError, UserError) as error:
        log.warning("the job in %s is skipped: %s", folder, error)
        return None


def _thumbnail(folder: Path) -> NDArray[np.uint8] | None:
    try:
        return np.asarray(Image.open(folder / "thumbnail.png").convert("RGB"))
    except OSError:
        return None
