"""A queue for messages in which newer news replaces older, so that a slow reader costs little memory."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from .messages import (
    NEWEST_WINS,
    Detail,
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
    """Items in the order in which they came, one for each message, without those that were replaced."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: FromServer, thing: T) -> None:
        """Add an item at the end; the item that the message replaces is dropped."""
        key = replacement_key(message)
        self._waiting.pop(key, None)
        self._waiting[key] = thing

    def first(self) -> T:
        """The oldest item, which stays in the queue.  KeyError if the queue is empty."""
        if not self._waiting:
            raise KeyError("nothing waits")
        return next(iter(self._waiting.values()))

    def pop(self) -> T:
        """The oldest item, which is removed.  KeyError if the queue is empty."""
        thing = self.first()
        del self._waiting[next(iter(self._waiting))]
        return thing


def replacement_key(message: FromServer) -> Hashable:
    """Messages with the same key replace each other."""
    kind = type(message)
    if isinstance(message, Splats):  # splats of a running job do not replace a result
        return kind, message.job, message.final
    if isinstance(message, (*NEWEST_WINS, Detail, JobState, Mesh)):
        return kind, message.job
    if isinstance(message, Jobs):
        return kind, message.page
    if isinstance(message, Pong | Priors | SayHello | Trouble | Welcome):
        return kind
    return next(_serial)
