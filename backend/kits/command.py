"""`kit`: makes a kit from mesh files, with a progress bar, or with one line of JSON per event for other programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.kits.make import Camera, Event, Skipped, make_kit
from backend.kits.subjects import Subject, subjects
from backend.priors.kit import read_index
from backend.terminal import STOPPED, console, note, pasteable, say, stop_key

Show = Callable[[Event], None]


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
    """Make a kit of files and folders; the exit code: 0, or 130 where it was stopped and can be continued."""
    logging.getLogger("trimesh").setLevel(logging.ERROR)
    files = subjects(paths, split)
    events = make_kit(files, out, name, overwrite=overwrite, camera=Camera(device))
    with stop_key() as pressed, _lines() if as_json else _bar(files) as show:
        for event in events:
            show(event)
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
        say(f"{len(index.objects)} objects: use them with {pasteable(['--prior', str(out)])}")
    return 0


def _stopped(out: Path, as_json: bool) -> int:
    if as_json:
        _line(event="stopped")
    else:
        say(f"Stopped.  The finished objects are in {out}; run the same command to continue.")
    return STOPPED


@contextmanager
def _lines() -> Iterator[Show]:
    """Prints each event as a line on stdout: {"event": "object" or "note", "done", "of", "name", ...}."""

    def show(event: Event) -> None:
        common: dict[str, Any] = {"done": event.done, "of": event.of, "name": event.name}
        if isinstance(event, Skipped):
            _line(event="note", **common, text=event.text)
        else:
            _line(event="object", **common, kept=event.kept, **({"notes": event.notes} if event.notes else {}))

    yield show


def _line(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


@contextmanager
def _bar(files: Sequence[Subject]) -> Iterator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    name = TextColumn("{task.fields[name]}", markup=False)
    with Progress(*columns, TimeRemainingColumn(), name, console=console) as progress:
        task = progress.add_task("kit", total=len(files), name="")

        def show(event: Event) -> None:
            if isinstance(event, Skipped):
                note(f"{event.name} is skipped: {event.text}")
            else:
                for text in event.notes:
                    note(f"{event.name}: {text}")
            progress.update(task, completed=event.done, name=event.name)

        yield show
