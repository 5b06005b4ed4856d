"""How far a download is: bytes, speed and the time left."""

from __future__ import annotations

import threading
import time
from collections import deque

from shared.models import DownloadProgress

WINDOW = 5.0  # seconds over which the speed is taken


class StoppedError(Exception):
    """The download was asked to stop."""


class Tally:
    """Counts the bytes of a download in its thread, for another one that shows them; `stop` ends it."""

    def __init__(self) -> None:
        self.total = self._here = 0
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()

    def here(self, count: int) -> None:
        """So many bytes were here already; fewer than none where a damaged file was removed."""
        with self._lock:
            self._here += count

    def came(self, count: int) -> None:
        """So many bytes came from the network.  StoppedError after `stop`."""
        self.check()
        with self._lock:
            self._here += count
            self._recent.append((time.monotonic(), count))

    def stop(self) -> None:
        """Have the thread end at its next bytes."""
        self._asked.set()

    def check(self) -> None:
        """StoppedError after `stop`."""
        if self._asked.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Sleep; StoppedError as soon as it is asked to stop."""
        self._asked.wait(seconds)
        self.check()

    def progress(self) -> DownloadProgress:
        """How far it is now."""
        now = time.monotonic()
        with self._lock:
            while self._recent and now - self._recent[0][0] > WINDOW:
                self._recent.popleft()
            seconds = max(now - self._recent[0][0], 0.1) if self._recent else WINDOW
            speed = sum(count for _, count in self._recent) / seconds
            left = max(self.total - self._here, 0) / speed if speed else None
            return DownloadProgress(self._here, self.total, speed, left)


def time_text(seconds: float | None) -> str:
    """Seconds as a person reads them."""
    if seconds is None:
        return "waiting"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s left"
    return f"{whole // 60} min left" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min left"
