"""Wakes a thread that waits for sockets, from any other thread."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """A pair of connected sockets.  The waiting thread polls `fileno()`, and calls `clear` before it looks for work."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def fileno(self) -> int:
        """The socket that becomes readable when `wake` is called."""
        return self._near.fileno()

    def wake(self) -> None:
        """Wake the waiting thread; never blocks.  Does nothing if it is being woken already, or after `close`."""
        with contextlib.suppress(OSError):
            self._far.send(b"!")

    def clear(self) -> None:
        """Forget all calls of `wake` so far."""
        with contextlib.suppress(BlockingIOError):
            while self._near.recv(4096):
                pass

    def close(self) -> None:
        """Close both sockets."""
        self._near.close()
        self._far.close()
