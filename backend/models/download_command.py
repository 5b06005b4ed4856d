"""`models download`: with a bar, or with one line of JSON per event for other programs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from huggingface_hub import constants

from backend.errors import UserError
from backend.hub.bar import bar
from backend.hub.download import cached, download
from backend.hub.layout import START_SHAPES, UNUSED_PARTS
from backend.terminal import STOPPED, own_command, pasteable, say, stop_key
from shared.models import Done, DownloadProgress, Failed, ModelsLine, Stopped

BAD_INPUT = 2
KINDS = {**UNUSED_PARTS, **START_SHAPES}


Show = Callable[[DownloadProgress], None]


def download_model(model: str, as_json: bool) -> int:
    """Download a model of the hub, or what is missing of it; the exit code."""
    model = model.strip().removeprefix(f"{constants.ENDPOINT}/").strip("/")  # it may be the address of its page
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings are about what we do again
    with stop_key() as pressed:
        try:
            folder = cached(model, KINDS) or _run(model, pressed, as_json)
        except UserError as error:
            if not as_json:
                raise
            print_line(Failed(f"{error}."))
            return BAD_INPUT
    if as_json:
        print_line(Stopped() if folder is None else Done(str(folder)))
    elif folder is None:
        again = own_command(["models", "download", model])
        say(f"Stopped.  What came is kept: {again} goes on from there.")
    else:
        say(f"{model} is here: use it with {pasteable(['--prior', model])}")
    return STOPPED if folder is None else 0


def _run(model: str, pressed: list[float], as_json: bool) -> Path | None:
    """Download until the end or the stop key; the folder, or None if it was stopped."""
    events = download(model, KINDS)
    with _lines() if as_json else bar(model) as show:
        while not pressed:
            try:
                show(next(events))
            except StopIteration as end:
                folder: Path = end.value
                return folder
    events.close()
    return None


@contextmanager
def _lines() -> Iterator[Show]:
    yield print_line


def print_line(content: ModelsLine) -> None:
    """One line of JSON on stdout, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(content) + b"\n")
    sys.stdout.buffer.flush()
