"""Too little memory: how it shows, and what helps."""

from __future__ import annotations

import torch

from backend.job.job import Job

# What torch says where it raises a plain RuntimeError.
SAID = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is for want of memory, on a card or on the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


def what_helps(job: Job | None = None) -> str:
    """One sentence.  What a job needs is a matter of its prior and of a step's pictures; quality changes neither."""
    fewer = "fewer or smaller pictures in a step (recipe.views and recipe.stages of the job file)"
    if job is not None:
        side = max(stage.side for stage in job.recipe.stages)
        fewer = f"fewer or smaller pictures in a step (recipe.views of the job file, now {job.recipe.views}"
        fewer += f", and recipe.stages, now up to {side})"
    return f"There is too little memory: close other programs that use it, or take a smaller prior or {fewer}."
