"""A run that has its results is told to refine their mesh after all, or for another number of steps."""

from __future__ import annotations

from pathlib import Path

import msgspec

from backend.job.job import Job, make_job
from backend.run.folder import REFINEMENT, UNREFINED, JobFolder


def refine_later(path: Path, steps: int) -> Job:
    """Have a folder's mesh refined for so many steps when the run's results are made next; the job as it is now.

    Steps, splats and checkpoint stay.  The refinement begins at the mesh that the splats give, unless one for as many
    steps was stopped.  0 gives that mesh back.  Raises JobError where the number is out of range.
    """
    folder = JobFolder(path)
    before = folder.job()
    fields = msgspec.to_builtins(before)
    fields["recipe"]["mesh"]["refine_steps"] = steps
    if isinstance(before.said, dict):
        fields["said"] = before.said | {"mesh": before.said.get("mesh", {}) | {"refine_steps": steps}}
    job = make_job(fields)
    folder.take()
    folder.write_job(job)
    changed = steps != before.recipe.mesh.refine_steps
    folder.fence.remove("metrics.json", UNREFINED, *([REFINEMENT] if changed else []))
    return job
