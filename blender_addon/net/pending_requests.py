"""Requests that the backend has not answered yet; no bpy.  They are sent again when a connection was lost.

An order, which changes something, waits until the backend says that it has taken it, and the backend carries out each
once.  What only asks, for results or the list, may be answered twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from ..shared.codec import Frame
from ..shared.messages import Error, Fetch, FromClient, FromServer, Jobs, ListJobs, Order, Splats, Taken


@dataclass
class Request:
    """A message on its way; `sent` on the connection there is."""

    message: FromClient
    frames: list[Frame]
    sent: bool = False


class PendingRequests:
    """In the order in which they were asked.  The last Watch stays for good: every new connection needs it."""

    def __init__(self) -> None:
        self._requests: dict[Hashable, Request] = {}

    def add(self, message: FromClient, frames: list[Frame]) -> None:
        """Ask; the same question asked before, and not answered, is replaced."""
        key = message.id if isinstance(message, Order) else (type(message), getattr(message, "job", None))
        self._requests.pop(key, None)
        self._requests[key] = Request(message, frames)

    def mark_unsent(self) -> None:
        """All are to be sent once more: the connection is a new one."""
        for request in self._requests.values():
            request.sent = False

    def unsent(self) -> Iterator[Request]:
        """Those that are to be sent."""
        return (request for request in self._requests.values() if not request.sent)

    def settle(self, answer: FromServer) -> None:
        """Take out what this answers."""
        for key in [key for key, asked in self._requests.items() if asked.sent and _answers(answer, asked.message)]:
            del self._requests[key]


def _answers(answer: FromServer, asked: FromClient) -> bool:
    match answer:
        case Taken(order=order) | Error(order=str(order)):
            return isinstance(asked, Order) and asked.id == order
        case Splats(job=job, final=True) | Error(job=str(job)):
            return isinstance(asked, Fetch) and asked.job == job
        case Jobs(last=True):
            return isinstance(asked, ListJobs)
        case _:
            return False
