"""What every message is made of: ids, a job's states, the base class, and the check of an array's shape."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

PROTOCOL_VERSION = 7
DEFAULT_PORT = 47800

JobId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
OrderId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
State = Literal["queued", "running", "finishing", "done", "stopped", "failed"]
ENDED: tuple[State, ...] = ("done", "stopped", "failed")
Matrix = tuple[tuple[float, float, float, float], ...]  # 4x4, row by row
Floats = NDArray[np.float32]


def new_job_id() -> str:
    """A random id, which no other job or order has."""
    return secrets.token_hex(16)


def check_shape(name: str, array: NDArray[Any] | None, *shape: int | None) -> None:
    """ValueError unless the array is None or has this shape, where None stands for any size."""
    if array is not None and (
        array.ndim != len(shape) or any(want not in (None, side) for want, side in zip(shape, array.shape, strict=True))
    ):
        raise ValueError(f"`{name}` has the shape {array.shape}, not {shape}")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag=True, eq=False):
    """What all messages have in common: the name of their type is sent with them."""
