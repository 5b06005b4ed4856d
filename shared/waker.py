"""Wakes a thread that waits for sockets: any other thread may ring."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """A pair of connected sockets; the waiting thread polls `fileno()`, and calls `silence` before it looks."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def fileno(self) -> int:
        """What can be read once somebody has rung."""
        return self._near.fileno()

    def wake(self) -> None:
        """Wake the waiting thread; never waits itself.  Nothing happens where it rings already, or is closed."""
        with contextlib.suppress(OSError):
            self._far.send(b"!")

    def clear(self) -> None:
        """Take up all that was rung so far."""
        with contextlib.suppress(BlockingIOError):
            while self._near.recv(4096):
                pass

    def close(self) -> None:
        """Let go of both sockets."""
        self._near.close()
        self._far.close()
