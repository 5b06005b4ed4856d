"""One line of the terminal that says what goes on, and for how long."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from types import TracebackType

SPINNER = "|/-\\"
QUIET_INTERVAL = 20.0  # seconds between lines where the output is no terminal


class Progress:
    """Says `title`, then `doing` and the seconds, until the block ends; set `doing` as often as you like."""

    def __init__(self, title: str) -> None:
        self.title, self.doing = title, ""
        self._live = sys.stdout.isatty()
        self._done = threading.Event()
        self._began = time.monotonic()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Progress:
        if not self._live:
            print(f"{self.title} ...", flush=True)
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._ticker.join()
        self.doing = "done" if kind is None else "not finished"
        self._show("", "\n")

    def _tick(self) -> None:
        turn = 0
        while not self._done.wait(0.2 if self._live else QUIET_INTERVAL):
            self._show(SPINNER[turn % len(SPINNER)] if self._live else "", "" if self._live else "\n")
            turn += 1

    def _show(self, mark: str, end: str) -> None:
        line = f"{self.title}  {clock(time.monotonic() - self._began)}  {self.doing} {mark}"
        if self._live:
            line = "\r\x1b[2K" + line[: shutil.get_terminal_size().columns - 1]
        print(line, end=end, flush=True)


def clock(seconds: float) -> str:
    """Minutes and seconds, as on a stopwatch."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
