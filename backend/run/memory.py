"""Memory: what fits, how to recognise that it has run out, and what the user can do."""

from __future__ import annotations

import sys

import torch

from backend.job.job import Job
from backend.priors.base import Prior
from backend.priors.card_memory import Family, most_views
from backend.priors.loading import free_bytes

# In the messages of the plain RuntimeErrors that torch raises.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the GPU or the machine is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def card_is_lost() -> bool:
    """Whether CUDA refuses everything from now on, as after an illegal access: only a new process helps."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def memory_advice(job: Job | None = None) -> str:
    """One sentence of advice.  Memory depends on the prior and on the pictures of a step; quality changes neither."""
    fewer = "fewer or smaller pictures in a step (recipe.views and recipe.stages of the job file)"
    if job is not None:
        side = max(stage.side for stage in job.recipe.stages)
        fewer = f"fewer or smaller pictures in a step (recipe.views of the job file, now {job.recipe.views}"
        fewer += f", and recipe.stages, now up to {side})"
    return f"Out of memory: close other programs, or use a smaller prior or {fewer}."


def views_that_fit(prior: Prior, views: int) -> tuple[int, list[str]]:
    """How many of the wanted views a step fit onto the card beside a prior, at least one; a sentence if not all."""
    family: Family | None = getattr(prior, "family", None)
    if family is None or prior.device.type != "cuda":
        return views, []
    room = most_views(family, int(free_bytes(prior.device)) + prior.weight_bytes)  # type: ignore[attr-defined]
    fitting = min(views, max(room, 1))
    if fitting == views:
        return views, []
    return fitting, [
        f"The graphics card has room for {fitting} of the {views} views a step, so the run takes longer to settle: "
        "close other programs that use the card, or take a smaller model."
    ]


def stay_on_the_card(device: torch.device) -> None:
    """Have torch report that the card is full, where Windows' driver would go on in the machine's own memory.

    That is twenty times slower and stops the whole desktop; an error can be mended by fewer views.
    """
    if sys.platform == "win32" and device.type == "cuda":
        total = torch.cuda.mem_get_info(device)[1]
        ours = torch.cuda.memory_allocated(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, (free_bytes(device) + ours) / total), device)
