"""How the dispatcher reaches clients: the interface of the server towards it."""

from __future__ import annotations

from typing import Protocol

from shared.messages import FromServer, Preview, Progress, Splats


class Sender(Protocol):
    """Sends messages to clients, each known by its ZeroMQ address."""

    def to(self, address: bytes, message: FromServer) -> None:
        """To one client."""

    def to_all(self, message: FromServer) -> None:
        """To every client."""

    def to_watchers(self, message: Preview | Splats) -> None:
        """To the clients that watch the message's job."""

    def progress(self, message: Progress) -> None:
        """To the clients that watch the job, and now and then to the others."""

    def watched(self, job: str) -> bool:
        """Whether a client watches the job."""
