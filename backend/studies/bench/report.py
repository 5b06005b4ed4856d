"""`python build.py bench`: one table on the terminal, and the same figures as JSON."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from backend.studies.bench.mesh import mesh_rows
from backend.studies.bench.renderer import renderer_rows
from backend.studies.bench.runs import run_rows
from backend.studies.bench.steps import step_rows

SIZES, RESOLUTIONS = (2_000, 10_000, 50_000, 200_000), (64, 128, 256, 512)


def bench(file: Path | None) -> int:
    """Measure, print, write; the exit code."""
    renderer = renderer_rows(SIZES, RESOLUTIONS, reference_budget_s=20.0)
    steps, runs, mesh = step_rows(), run_rows(), mesh_rows()
    ratios = [row["speedup_vs_reference"] for row in renderer if row.get("speedup_vs_reference")]
    result = {
        "machine": machine(),
        "renderer": {"speedup_vs_reference": min(ratios) if ratios else None, "rows": renderer},
        "step": steps,
        "run": runs,
        "mesh": mesh,
    }
    console = Console()
    console.print(_table("Renderer", renderer))
    console.print(_table("Step", [_without_parts(name, row) for name, row in steps.items()]))
    console.print(_table("Parts of a step, ms", [_parts(name, row) for name, row in steps.items()]))
    console.print(_table("Run", runs))
    console.print(_table("Mesh", mesh))
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def machine() -> dict[str, Any]:
    """The machine on which the figures were measured."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": card,
        "torch": torch.__version__,
    }


def _without_parts(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of an objective, without the parts of its steps."""
    return {"rule": name, **{key.replace("_", " "): value for key, value in row.items() if key != "parts"}}


def _parts(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The parts of an objective's steps, in milliseconds."""
    return {"rule": name, **{part: value * 1000 for part, value in row["parts"].items()}}


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(f"{value:.3g}" if isinstance(value := row.get(column, ""), float) else str(value) for column in columns)
        )
    return table
