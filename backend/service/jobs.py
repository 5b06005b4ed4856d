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
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.errors import UserError
from backend.job.job import Job
from backend.run.folder import JobFolder
from backend.run.particle_folders import other_particles
from backend.service.job_entry import Entry, Record
from backend.service.particle_jobs import particle_entries, particle_id
from shared.messages import JobState

log = logging.getLogger(__name__)


class UnknownJobError(UserError):
    """There is no such job, or no longer."""


class Jobs:
    """The jobs in a folder.  Those left waiting or running are queued again, unless they were asked to stop.

    Where they run on `detached` from the server, those left running are so still.
    """

    def __init__(self, root: Path, detached: bool = False) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        found = (_read(folder) for folder in root.iterdir() if re.fullmatch("[0-9a-f]{32}", folder.name))
        self._entries = {entry.id: entry for entry in found if entry is not None}
        self._entries |= {entry.id: entry for run in [*self._entries.values()] for entry in _particles(run)}
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

    def add_particles(self, run: Entry) -> list[Entry]:
        """The entries of a job's other particles, with the results as they are now."""
        entries = list(particle_entries(run))
        self._entries |= {entry.id: entry for entry in entries}
        return entries

    def forget(self, job: str) -> None:
        """Delete a job with what there is of its folder, and so its particles."""
        entry = self[job]
        (entry.folder / "state.json").unlink(missing_ok=True)
        self._entries = {other.id: other for other in self._entries.values() if job not in (other.id, other.part_of)}
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


def _particles(run: Entry) -> Iterator[Entry]:
    """The entries of a job's particles that it had before a restart."""
    for number, path in other_particles(run.folder.path).items():
        if (entry := _read(path)) is not None:
            yield replace(entry, id=particle_id(run.id, number), part_of=run.id, number=number)


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
