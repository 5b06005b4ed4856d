"""Out of memory: how to recognise it, and what the user can do."""

from __future__ import annotations

import torch

from backend.job.job import Job

# In the messages of the plain RuntimeErrors that torch raises.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the GPU or the machine is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def memory_advice(job: Job | None = None) -> str:
    """One sentence of advice.  Memory depends on the prior and on the pictures of a step; quality changes neither."""
    fewer = "fewer or smaller pictures in a step (recipe.views and recipe.stages of the job file)"
    if job is not None:
        side = max(stage.side for stage in job.recipe.stages)
        fewer = f"fewer or smaller pictures in a step (recipe.views of the job file, now {job.recipe.views}"
        fewer += f", and recipe.stages, now up to {side})"
    return f"Out of memory: close other programs, or use a smaller prior or {fewer}."
