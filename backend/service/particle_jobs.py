"""The particles of a job as entries of the job list: each but the first is one, as soon as the job has ended.

So whatever a client does with a job it can do with a particle: fetch it, start from it, forget it.  The results lie
below the job's folder, with a state.json of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.run.credits import credits
from backend.run.folder import JobFolder
from backend.run.particle_folders import other_particles
from backend.service.job_entry import Entry

BEHIND = 0.001  # seconds by which a particle is older than the one before it, so that lists have them in order


def particle_id(job: str, number: int) -> str:
    """The id of a job's particle, the same after a restart."""
    return sha256(f"{job}/{number}".encode()).hexdigest()[:32]


def particle_entries(run: Entry) -> Iterator[Entry]:
    """An entry, written to the disk, for each particle after the first that has splats; `run` has ended."""
    for number, path in other_particles(run.folder.path).items():
        if (path / "splats.ply").exists():
            created = run.record.created - number * BEHIND
            told = {"credits": credits(JobFolder(path)), "created": created, "warnings": (), "orders": ()}
            record = msgspec.structs.replace(run.record, text="", detail="", **told)
            entry = Entry(particle_id(run.id, number), JobFolder(path), run.job, record, part_of=run.id, number=number)
            if (picture := _first_view(path)) is not None:
                entry.keep_thumbnail(picture)
            entry.update()
            yield entry


def _first_view(folder: Path) -> NDArray[np.uint8] | None:
    """The first view of a turntable; None where there is none."""
    try:
        strip = Image.open(folder / "turntable.png").convert("RGB")
    except OSError:
        return None
    return np.asarray(strip.crop((0, 0, strip.height, strip.height)))
