"""Requests that the backend has not answered yet; no bpy.  After a lost connection they are sent again.

An order, which changes something, stays here until the backend says that it has taken it.  The backend carries out each
order once, even if it arrives twice.  Requests that change nothing (results, the list of jobs) may be answered twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from ..shared.codec import Frame
from ..shared.messages import Error, Fetch, FromClient, FromServer, Jobs, ListJobs, Order, Splats, Taken


@dataclass
class Request:
    """A message to the backend; `sent` says whether it was sent over the present connection."""

    message: FromClient
    frames: list[Frame]
    sent: bool = False


class PendingRequests:
    """Pending requests, the oldest first.  The last Watch is never removed: every new connection needs it."""

    def __init__(self) -> None:
        self._requests: dict[Hashable, Request] = {}

    def add(self, message: FromClient, frames: list[Frame]) -> None:
        """Add a request; it replaces an earlier one that asks for the same."""
        key = message.id if isinstance(message, Order) else (type(message), getattr(message, "job", None))
        self._requests.pop(key, None)
        self._requests[key] = Request(message, frames)

    def mark_unsent(self) -> None:
        """Have all requests sent again, over a new connection."""
        for request in self._requests.values():
            request.sent = False

    def unsent(self) -> Iterator[Request]:
        """The requests that are still to be sent."""
        return (request for request in self._requests.values() if not request.sent)

    def remove_answered(self, answer: FromServer) -> None:
        """Remove the requests that this message answers."""
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
