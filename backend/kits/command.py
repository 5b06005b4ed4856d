"""`kit`: from mesh files to a kit, with a progress bar, or with a line of JSON an event for a program that runs it."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.kits.make import Camera, Event, LeftOut, make_kit
from backend.kits.subjects import Subject, subjects
from backend.priors.kit import read_index

STOPPED = 130
Tell = Callable[[Event], None]


def kit(
    paths: Sequence[Path],
    out: Path,
    name: str = "",
    *,
    split: bool = False,
    overwrite: bool = False,
    as_json: bool = False,
    device: torch.device | str = "cpu",
) -> int:
    """Make a kit of files and folders; the exit code: 0, or 130 where it was stopped and can go on."""
    logging.getLogger("trimesh").setLevel(logging.ERROR)
    files = subjects(paths, split)
    events = make_kit(files, out, name, overwrite=overwrite, camera=Camera(device))
    with _stop_key() as pressed, _lines() if as_json else _bar(files) as tell:
        for event in events:
            tell(event)
            if pressed:
                break
        else:
            return _done(out, as_json)
    events.close()
    return _stopped(out, as_json)


def _done(out: Path, as_json: bool) -> int:
    index = read_index(out)
    if as_json:
        _line(event="done", name=index.name, objects=len(index.objects), folder=str(out.resolve()))
    else:
        Console(stderr=True).print(f"{len(index.objects)} objects: use them with --prior {escape(str(out))}")
    return 0


def _stopped(out: Path, as_json: bool) -> int:
    if as_json:
        _line(event="stopped")
    else:
        Console(stderr=True).print(f"Stopped.  The same command goes on; what is done is in {escape(str(out))}.")
    return STOPPED


@contextmanager
def _lines() -> Iterator[Tell]:
    """An event is a line on stdout: {"event": "object" or "note", "done", "of", "name", ...}."""

    def tell(event: Event) -> None:
        said: dict[str, Any] = {"done": event.done, "of": event.of, "name": event.name}
        if isinstance(event, LeftOut):
            _line(event="note", **said, text=event.text)
        else:
            _line(event="object", **said, kept=event.kept, **({"notes": event.notes} if event.notes else {}))

    yield tell


def _line(**what: Any) -> None:
    print(json.dumps(what), flush=True)


@contextmanager
def _bar(files: Sequence[Subject]) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[name]}"), console=console) as progress:
        task = progress.add_task("kit", total=len(files), name="")

        def tell(event: Event) -> None:
            if isinstance(event, LeftOut):
                progress.console.print(f"[yellow]Note:[/] {escape(event.name)} is left out: {escape(event.text)}")
            else:
                for note in event.notes:
                    progress.console.print(f"[yellow]Note:[/] {escape(event.name)}: {escape(note)}")
            progress.update(task, completed=event.done, name=escape(event.name))

        yield tell


@contextmanager
def _stop_key() -> Iterator[list[float]]:
    """Ctrl-C, and a request to end, fill the list: the object under way is finished.  A second one stops at once."""
    pressed: list[float] = []

    def press(_number: int, _frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(time.monotonic())

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
