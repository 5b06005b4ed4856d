"""What one stage has found so far, in a JSON file that is whole at every moment."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIGITS = 5


class Part:
    """A stage's findings, written to `file` after each of them.

    `seconds` is the stage's limit, `scratch` a folder that all stages share, and with `small` everything is computed on
    the CPU in sizes that take seconds.
    """

    def __init__(self, file: Path, seconds: float, scratch: Path, small: bool) -> None:
        self.file, self.scratch, self.small = file, scratch, small
        self.end = time.monotonic() + seconds
        self.found: dict[str, Any] = {"headlines": [], "errors": []}

    @property
    def left(self) -> float:
        """Seconds until the stage is killed."""
        return self.end - time.monotonic()

    def put(self, **values: Any) -> None:
        """Add findings by name."""
        self.found |= values
        self._write()

    def row(self, table: str, /, **values: Any) -> None:
        """Add a row to a table."""
        self.found.setdefault(table, []).append(values)
        self._write()

    def headline(self, text: str) -> None:
        """Add a line of the summary that is printed at the end."""
        self.found["headlines"].append(text)
        print(text, flush=True)
        self._write()

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """An exception inside becomes an entry of `errors`, and the stage goes on."""
        try:
            yield
        except Exception as error:
            self.failed(what, error)

    def failed(self, what: str, error: BaseException) -> None:
        """Add an error with its traceback."""
        lines = "".join(traceback.format_exception(error))
        self.found["errors"].append({"at": what, "error": f"{type(error).__name__}: {error}", "traceback": lines})
        print(f"!! {what}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        self._write()

    def _write(self) -> None:
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(plain(self.found), indent=1), encoding="utf-8")
        os.replace(partial, self.file)


def plain(value: Any) -> Any:
    """As JSON can have it: floats shortened, NaN and what JSON does not know as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, int | str) or value is None else str(value)
