"""How far a download is: a bar in a terminal, elsewhere (a log) a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn

from backend.hub.progress import time_text
from backend.terminal import LINE_SECONDS, console, say
from shared.models import DownloadProgress, size_text


class Show(Protocol):
    """Shows how far a download is."""

    def __call__(self, progress: DownloadProgress, /) -> None: ...


@contextmanager
def bar(model: str) -> Iterator[Show]:
    """Yields what shows the bytes, the speed and the time left."""
    if not console.is_terminal:
        yield plain_lines(model)
        return
    with _drawn(model) as show:
        yield show


def plain_lines(model: str) -> Show:
    """Prints how far it is as soon as the size is known, and then every LINE_SECONDS."""
    last = float("-inf")

    def show(progress: DownloadProgress) -> None:
        nonlocal last
        if progress.total and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            say(f"{model}: {text(progress)}")

    return show


@contextmanager
def _drawn(model: str) -> Iterator[Show]:
    name, numbers = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[numbers]}")
    with Progress(name, BarColumn(20), numbers, console=console) as drawn:
        task = drawn.add_task(model, total=None, numbers="asking the hub")

        def show(progress: DownloadProgress) -> None:
            if progress.total:
                drawn.update(task, completed=progress.bytes, total=progress.total, numbers=text(progress))

        yield show


def text(progress: DownloadProgress) -> str:
    """The bytes, the speed and the time left."""
    of = f"{size_text(progress.bytes)} of {size_text(progress.total)}"
    return f"{of}, {size_text(progress.speed)}/s, {time_text(progress.left)}"


def shown(download: Generator[DownloadProgress, None, Path], model: str) -> Path:
    """Run a download to its end with a bar; the folder."""
    with bar(model) as show:
        while True:
            try:
                show(next(download))
            except StopIteration as end:
                folder: Path = end.value
                return folder
