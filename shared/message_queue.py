"""What waits for a reader.  Of news that newer news replaces only the newest waits, so a slow reader costs little."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from .messages import (
    NEWEST_WINS,
    FromServer,
    Jobs,
    JobState,
    Mesh,
    Pong,
    Priors,
    SayHello,
    Splats,
    Trouble,
    Welcome,
)

T = TypeVar("T")

_serial = itertools.count()


class MessageQueue(Generic[T]):
    """Things in the order in which they came, each for a message, the replaced ones left out."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: FromServer, thing: T) -> None:
        """Add at the end; what the message replaces is gone."""
        key = replacement_key(message)
        self._waiting.pop(key, None)
        self._waiting[key] = thing

    def first(self) -> T:
        """What has waited longest; it stays.  KeyError where nothing waits."""
        if not self._waiting:
            raise KeyError("nothing waits")
        return next(iter(self._waiting.values()))

    def pop(self) -> T:
        """What has waited longest; it is taken out.  KeyError where nothing waits."""
        thing = self.first()
        del self._waiting[next(iter(self._waiting))]
        return thing


def replacement_key(message: FromServer) -> Hashable:
    """Messages of one slot replace each other."""
    kind = type(message)
    if isinstance(message, Splats):  # a result is not replaced by what comes while the job goes on
        return kind, message.job, message.final
    if isinstance(message, (*NEWEST_WINS, JobState, Mesh)):
        return kind, message.job
    if isinstance(message, Jobs):
        return kind, message.page
    if isinstance(message, Pong | Priors | SayHello | Trouble | Welcome):
        return kind
    return next(_serial)
