"""Where the results of several particles are: those of the first in the job's own folder, the others' below it.

    particle-2/  job.json  particle.json  splats.ply  mesh.glb  turntable.png  turntable.webp  metrics.json

So each is a job's folder for whatever reads results.  It has no checkpoint: the run is in the folder above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

PARTICLE = "particle.json"


class Particle(msgspec.Struct, frozen=True):
    """What particle.json says: which of the particles it is, counted from 1, and of how many."""

    particle: int
    of: int


def particle_path(run: Path, number: int) -> Path:
    """The folder of a particle's results, counted from 1."""
    return run if number == 1 else run / f"particle-{number}"


def particle_in(folder: Path) -> Particle | None:
    """Which particle's results are in this folder; None where it is the folder of a run."""
    try:
        return msgspec.json.decode((folder / PARTICLE).read_bytes(), type=Particle)
    except (OSError, msgspec.MsgspecError):
        return None


def other_particles(run: Path) -> dict[int, Path]:
    """The folders of the particles after the first, by their numbers."""
    found = ((particle_in(file.parent), file.parent) for file in run.glob(f"particle-*/{PARTICLE}"))
    return dict(sorted((known.particle, folder) for known, folder in found if known is not None))


def with_particles(folders: Sequence[Path]) -> list[Path]:
    """Each folder once, followed by those of its run's other particles."""
    whole = [path.resolve() for folder in folders for path in (folder, *other_particles(folder).values())]
    return list(dict.fromkeys(whole))
