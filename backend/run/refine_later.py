"""A run that has its results is told to refine their mesh after all, or for another number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from backend.errors import UserError
from backend.job.job import Job, make_job
from backend.run.folder import CHECKPOINT, JobFolder
from backend.run.particle_folders import other_particles


def refine_later(path: Path, steps: int) -> Job:
    """Have a folder's mesh refined for so many steps when the run's results are made next; the job as it is now.

    Splats and checkpoint stay.  The refinement begins at the mesh that the splats give, unless one for as many steps
    was stopped; 0 gives that mesh back.  Raises UserError where there are no splats yet, or the number is out of range.
    """
    folder = JobFolder(path)
    if not ((folder / CHECKPOINT).exists() and (folder / "splats.ply").exists()):
        raise UserError("The job has no splats yet whose mesh could be refined: continue it first.")
    job = make_job(_with_refinement(folder.job(), steps))
    folder.take()
    folder.write_job(job)
    for number in other_particles(path):
        folder.particle(number).write_job(job)
    return job


def _with_refinement(job: Job, steps: int) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(job)
    fields["recipe"]["mesh"]["refine_steps"] = steps
    if isinstance(job.said, dict):
        fields["said"] = job.said | {"mesh": job.said.get("mesh", {}) | {"refine_steps": steps}}
    return fields
