"""`kit`: from mesh files to a kit, with a progress bar, or with a line of JSON an event for a program that runs it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.kits.make import Camera, Event, LeftOut, make_kit
from backend.kits.subjects import Subject, subjects
from backend.priors.kit import read_index
from backend.terminal import STOPPED, console, note, pasteable, say, stop_key

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
    with stop_key() as pressed, _lines() if as_json else _bar(files) as told:
        for event in events:
            told(event)
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
        say(f"Stopped.  The same command goes on; what is done is in {out}.")
    return STOPPED


@contextmanager
def _lines() -> Iterator[Tell]:
    """An event is a line on stdout: {"event": "object" or "note", "done", "of", "name", ...}."""

    def show(event: Event) -> None:
        said: dict[str, Any] = {"done": event.done, "of": event.of, "name": event.name}
        if isinstance(event, LeftOut):
            _line(event="note", **said, text=event.text)
        else:
            _line(event="object", **said, kept=event.kept, **({"notes": event.notes} if event.notes else {}))

    yield show


def _line(**what: Any) -> None:
    print(json.dumps(what), flush=True)


@contextmanager
def _bar(files: Sequence[Subject]) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    name = TextColumn("{task.fields[name]}", markup=False)
    with Progress(*columns, TimeRemainingColumn(), name, console=console) as progress:
        task = progress.add_task("kit", total=len(files), name="")

        def show(event: Event) -> None:
            if isinstance(event, LeftOut):
                note(f"{event.name} is left out: {event.text}")
            else:
                for text in event.notes:
                    note(f"{event.name}: {text}")
            progress.update(task, completed=event.done, name=event.name)

        yield show
