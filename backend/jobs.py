"""All jobs of a server: a folder each, which is the truth, and their states in memory.

    job.json  state.json  init_mesh.ply  thumbnail.png  and what backend.folder says

state.json is written last, when a job is taken, and removed first, when it is forgotten: a folder without it is no job.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.credits import credits
from backend.errors import UserError
from backend.export.files import replacing
from backend.folder import JobFolder
from backend.recipe import Job
from shared.messages import ENDED, JobState, Matrix, State

log = logging.getLogger(__name__)

IDENTITY: Matrix = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
THUMBNAIL_SIDE = 96
LISTED = 500  # jobs in one list, the newest


class UnknownJobError(UserError):
    """A job that is not, or no longer, among the jobs."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What state.json holds."""

    state: State
    created: float
    queued: float
    step: int = 0
    of: int
    text: str = ""
    detail: str = ""
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
        """Whether nothing goes on with it."""
        return self.record.state in ENDED

    def state(self) -> JobState:
        """The job as clients see it."""
        record = {name: getattr(self.record, name) for name in Record.__struct_fields__ if name != "queued"}
        return JobState(
            job=self.id,
            prompt=self.job.prompt,
            objective=self.job.objective,
            seed=self.job.seed,
            has_splats=(self.folder / "splats.ply").exists(),
            has_mesh=(self.folder / "mesh.glb").exists(),
            thumbnail=self.thumbnail,
            **record,
        )

    def update(self, **changes: Any) -> None:
        """Change the record, in memory and on disk.  A disk that refuses stops nothing: the next change tries again."""
        self.record = msgspec.structs.replace(self.record, **changes)
        try:
            self.write()
        except OSError:
            log.exception("the state of job %s could not be written", self.id)

    def end(self, state: State, text: str, detail: str) -> None:
        """It is over; whose objects its results are made of is taken from their figures."""
        self.update(state=state, text=text, detail=detail, credits=credits(self.folder))

    def write(self) -> None:
        """Put the record on the disk."""
        with replacing(self.folder / "state.json") as file:
            file.write_bytes(msgspec.json.encode(self.record))

    def progressed(self, step: int) -> None:
        """Note a step in memory alone; the disk hears of it with the next change."""
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
    """The jobs in a folder.  Those that a server left waiting or running wait again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        found = (_read(folder) for folder in root.iterdir() if re.fullmatch("[0-9a-f]{32}", folder.name))
        self._entries = {entry.id: entry for entry in found if entry is not None}
        for entry in self._entries.values():
            if not entry.ended:
                entry.update(state="queued", text="")

    def __contains__(self, job: str) -> bool:
        return job in self._entries

    def __getitem__(self, job: str) -> Entry:
        if job not in self._entries:
            raise UnknownJobError("The backend does not have this job any more: generate it again.")
        return self._entries[job]

    def folder(self, job: str) -> JobFolder:
        """Where a job is or will be."""
        return JobFolder(self.root / job)

    def add(self, job: str, spec: Job) -> Entry:
        """Take a new job whose folder is begun; it waits."""
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
        """Delete a job with its folder."""
        entry = self[job]
        (entry.folder / "state.json").unlink()
        del self._entries[job]
        shutil.rmtree(entry.folder.path, ignore_errors=True)

    def listed(self) -> tuple[JobState, ...]:
        """The newest first."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.record.created, reverse=True)
        return tuple(entry.state() for entry in entries[:LISTED])

    def next(self) -> Entry | None:
        """The one that has waited longest."""
        waiting = (entry for entry in self._entries.values() if entry.record.state == "queued")
        return min(waiting, key=lambda entry: entry.record.queued, default=None)


def _read(folder: Path) -> Entry | None:
    """The job in a folder; None where there is none, or a damaged one."""
    if not (folder / "state.json").exists():
        return None
    try:
        record = msgspec.json.decode((folder / "state.json").read_bytes(), type=Record)
        return Entry(folder.name, JobFolder(folder), JobFolder(folder).job(), record, _thumbnail(folder))
    except (OSError, msgspec.MsgspecError, UserError) as error:
        log.warning("%s is left out of the jobs: %s", folder, error)
        return None


def _thumbnail(folder: Path) -> NDArray[np.uint8] | None:
    try:
        return np.asarray(Image.open(folder / "thumbnail.png").convert("RGB"))
    except OSError:
        return None
