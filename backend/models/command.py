"""`models`: lists them, downloads one, and adds and removes folders; for people, or as JSON for other programs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from backend.errors import UserError
from backend.hub.bar import bar
from backend.hub.download import cached, download
from backend.hub.progress import Progress, size_text
from backend.models.folders import add_folder, models_in, remove_folder
from backend.models.listing import Listing, Model, Offer, listing
from backend.terminal import STOPPED, note, own_command, pasteable, say, stop_key

BAD_INPUT = 2


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The model is whole, in this folder."""

    folder: str


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """It cannot be had; the text is a sentence that says what to do."""

    text: str


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """It was stopped; what came is kept, and the same command goes on from there."""


Event = Progress | Done | Failed | Stopped
Show = Callable[[Progress], None]


def show_models(as_json: bool) -> int:
    """Print what there is; the exit code."""
    found = listing()
    if as_json:
        _print_line(found)
    else:
        _print_tables(found)
    return 0


def change_folders(folder: Path, remove: bool, as_json: bool) -> int:
    """Add or remove a folder, and print what there is then."""
    (remove_folder if remove else add_folder)(folder)
    if not remove and not as_json and not any(models_in(folder)):
        note(f"{folder} has no models yet: neither folders with model_index.json nor .safetensors files.")
    return show_models(as_json)


def download_model(model: str, as_json: bool) -> int:
    """Download a model of the hub, or what is missing of it; the exit code."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings are about what we do again
    with stop_key() as pressed:
        try:
            folder = cached(model) or _run(model, pressed, as_json)
        except UserError as error:
            if not as_json:
                raise
            _print_line(Failed(f"{error}."))
            return BAD_INPUT
    if as_json:
        _print_line(Stopped() if folder is None else Done(str(folder)))
    elif folder is None:
        again = own_command(["models", "download", model])
        say(f"Stopped.  What came is kept: {again} goes on from there.")
    else:
        say(f"{model} is here: use it with {pasteable(['--prior', model])}")
    return STOPPED if folder is None else 0


def _run(model: str, pressed: list[float], as_json: bool) -> Path | None:
    """Download until the end or the stop key; the folder, or None if it was stopped."""
    events = download(model)
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
    yield _print_line


def _print_line(content: Event | Listing) -> None:
    """One line of JSON on stdout, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(content) + b"\n")
    sys.stdout.buffer.flush()


def _print_tables(found: Listing) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    card = "no graphics card" if found.card is None else found.card.name
    table = Table("Name", "Family", "Size", "Licence", "State", f"On this computer ({card})", title="Models here")
    for model in found.models:
        table.add_row(model.name, model.family, size_text(model.size), model.licence, _state(model), model.fit.text)
    if found.models:
        console.print(table)
    else:
        console.print("There are no models here yet.")
    for model in found.models:
        if model.problem:
            note(model.problem)
    missing = [offer for offer in found.suggested if not offer.here]
    if missing:
        console.print(_suggested(missing))
        say(f"Download one with {own_command(['models', 'download', missing[0].name])}")


def _suggested(offers: list[Offer]) -> Table:
    table = Table("Name", "Family", "Download", "Licence", "On this computer", title="Suggested")
    for offer in offers:
        table.add_row(offer.name, offer.family, size_text(offer.size), offer.licence, offer.fit.text)
    return table


def _state(model: Model) -> str:
    if model.problem and model.whole:
        return "cannot be used"
    if model.problem:
        return "incomplete"
    return "LoRA" if model.source == "LoRA" else "whole"
