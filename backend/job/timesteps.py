"""The noise level of a step: uniform in a window that may move during the run.

High t decides the shape, low t the detail, so most recipes anneal (DreamTime 2306.12422; the released JSD
code goes from 0.98 T to 0.25 T with a window of no width).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Timesteps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The window [low, high] of t, as shares of T, at the start and at the end of the run."""

    low_start: Share = 0.02
    high_start: Share = 0.98
    low_end: Share = 0.02
    high_end: Share = 0.98


def sample_t(window: Timesteps, progress: float, total: int, count: int, generator: torch.Generator) -> Tensor:
    """One level for all `count` views: integers (count,) in [1, total-2], as some schedules end without any signal.

    One level a step, not one a view: rules that walk along the schedule (JSD's inversion) then walk together.
    """
    low = window.low_start + (window.low_end - window.low_start) * progress
    high = window.high_start + (window.high_end - window.high_start) * progress
    share = low + (high - low) * torch.rand((), generator=generator).item()
    return torch.full((count,), min(max(round(share * total), 1), total - 2))
