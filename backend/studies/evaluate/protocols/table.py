"""A protocol's table: ours and the published figures, for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from backend.files import replacing
from backend.studies.evaluate.protocols.rows import Row
from backend.terminal import console, say

OURS = "(ours) "


def shown_columns(rows: Sequence[Row], columns: Iterable[str]) -> list[str]:
    """The columns in which any of the rows has a figure."""
    return [column for column in columns if any(column in row.values for row in rows)]


def write(folder: Path, protocol: str, rows: Sequence[Row], columns: Sequence[str], notes: Sequence[str]) -> None:
    """PROTOCOL.json and PROTOCOL.md; OSError where they cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "protocol": protocol,
        "columns": list(columns),
        "rows": [{"method": r.method, "ours": r.ours, "values": r.values, "source": r.source} for r in rows],
        "notes": list(notes),
    }
    with replacing(folder / f"{protocol}.json") as file:
        file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with replacing(folder / f"{protocol}.md") as file:
        file.write_text(markdown(rows, columns, notes), encoding="utf-8")


def markdown(rows: Sequence[Row], columns: Sequence[str], notes: Sequence[str]) -> str:
    """The table, and the notes below it."""
    header = ["method", *columns, "source"]
    lines = [_line(header), "|---" * len(header) + "|", *(_line(_cells(row, columns)) for row in rows)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def show(rows: Sequence[Row], columns: Sequence[str], notes: Sequence[str]) -> None:
    """A drawn table on a terminal, Markdown elsewhere."""
    if not console.is_terminal:
        say(markdown(rows, columns, notes))
        return
    table = Table(box=box.SIMPLE)
    table.add_column("method")
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("source", style="dim")
    for row in rows:
        table.add_row(*_cells(row, columns), style="bold" if row.ours else None)
    console.print(table)
    for text in notes:
        say(text)


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    figures = (f"{row.values[column]:.5g}" if column in row.values else "" for column in columns)
    return [f"{OURS if row.ours else ''}{row.method}", *figures, row.source]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
