"""`models`: lists them, and adds and removes folders; as tables, or as one line of JSON for other programs."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from backend.models.download_command import print_line
from backend.models.folders import add_folder, models_in, remove_folder
from backend.models.listing import listing
from backend.terminal import note, own_command, say
from shared.models import Card, Listing, Model, Offer, size_text


def show_models(as_json: bool) -> int:
    """Print what there is; the exit code."""
    found = listing()
    if as_json:
        print_line(found)
    else:
        _print_tables(found)
    return 0


def change_folders(folder: Path, remove: bool, as_json: bool) -> int:
    """Add or remove a folder, and print what there is then."""
    (remove_folder if remove else add_folder)(folder)
    if not remove and not as_json and not any(models_in(folder)):
        note(f"{folder} has no models yet: neither folders with model_index.json nor .safetensors files.")
    return show_models(as_json)


def _print_tables(found: Listing) -> None:
    out = Console(highlight=False, markup=False, emoji=False)
    missing = [offer for offer in found.suggested if not offer.here]
    if found.models:
        out.print(_models_here(found))
    for model in found.models:
        if model.problem:
            note(model.problem)
    if missing:
        out.print(_suggested(missing, found.card))
        say(f"Download one with {own_command(['models', 'download', missing[0].name])}")
    if found.card is None:
        note("There is no graphics card that torch can use here; without one a step of these models takes minutes.")


def _models_here(found: Listing) -> Table:
    table = _table("Models here", found.card, "Size", "State")
    for model in found.models:
        fit = [model.fit.text] if found.card else []
        table.add_row(model.name, model.family, model.licence, size_text(model.size), _state(model), *fit)
    return table


def _suggested(offers: list[Offer], card: Card | None) -> Table:
    table = _table("Suggested", card, "Download")
    for offer in offers:
        fit = [offer.fit.text] if card else []
        table.add_row(offer.name, offer.family, offer.licence, size_text(offer.size), *fit)
    return table


def _table(title: str, card: Card | None, *columns: str) -> Table:
    """A table whose names can be copied whole; without a card it has no column for what fits."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("Name", overflow="fold")
    for column in ("Family", "Licence", *columns, *([f"On {card.name}"] if card else [])):
        table.add_column(column)
    return table


def _state(model: Model) -> str:
    if model.problem and model.whole:
        return "cannot be used"
    if model.problem:
        return "incomplete"
    return "LoRA" if model.source == "LoRA" else "whole"
