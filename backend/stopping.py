"""Ctrl-C, and a request to end: what is under way is finished first.  A second one stops at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = 130  # the exit code of who was asked to stop, and did


@contextmanager
def stop_key() -> Iterator[list[float]]:
    """A list that is filled when a stop is asked for.  Asked once more, KeyboardInterrupt."""
    pressed: list[float] = []

    def press(_number: int, _frame: FrameType | None) -> None:
        pressed.append(time.monotonic())
        if len(pressed) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
