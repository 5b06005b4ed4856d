"""Cards of 8 to 24 GB: another program really holds the rest of this one, so that the driver's answers are true.

Which views a run takes, what it says, whether the table was right; what happens when memory runs out in the middle of a
run; and what is free again afterwards.
"""

from __future__ import annotations

import gc
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from backend.errors import UserError
from backend.job.job import make_job
from backend.priors.card_memory import GIB, PEAK_GIB, most_views
from backend.priors.loading import free_bytes
from backend.run.events import Warning
from backend.run.folder import JobFolder
from backend.run.large_prior import unload_large_prior
from backend.run.session import Session
from tools.gpu.holder import Holder
from tools.gpu.models import model_folder
from tools.gpu.part import Part

CARDS = (8, 12, 16, 24)  # GB as they are sold, GiB as they are measured
FAMILIES = ("sd-512", "sdxl")
VIEWS, STEPS, SPLATS = 4, 3, 50_000
# Wanted views, and those for which memory is left: one halving, two halvings.
TIGHT = {"sd-512": (8, 4), "sdxl": (8, 2)}
SLACK = 0.35  # GiB above the table's row: workspaces and splats
KEPT = 0.2  # GiB that may be missing after unloading


def measure(part: Part) -> None:
    """Pretended cards, then memory that runs out, by another program and by torch's own limit."""
    device = torch.device("cpu" if part.small else "cuda")
    for family in FAMILIES:
        with part.attempt(f"writing {family}"):
            model_folder(family, part.scratch, part.small)
    with ExitStack() as stack:
        holder = None if part.small else stack.enter_context(Holder())
        context = 0.0 if holder is None else _context(holder)
        for size in CARDS[: 1 if part.small else None]:
            for family in FAMILIES:
                with part.attempt(f"{family} on {size} GB"):
                    _pretended(part, holder, family, size, context, device)
        for family in FAMILIES:
            if holder is not None:
                with part.attempt(f"{family}: memory runs out"):
                    _tight(part, holder, family, device)
    if not part.small:
        with part.attempt("torch's own limit"):
            _limited(part, device)


def _context(holder: Holder) -> float:
    """Bytes that this process takes of the card before it has any tensors; they are a part of the pretended card."""
    before = holder.leave(1e15)
    torch.zeros(1, device="cuda")
    return before - torch.cuda.mem_get_info()[0] - torch.cuda.memory_reserved()


def _session(part: Part, family: str, views: int, name: str) -> Session:
    side, splats = (32, 100) if part.small else (512, SPLATS)
    recipe: dict[str, Any] = {"steps": 50, "views": views, "stages": [{"side": side}]}
    recipe["splats"] = {"initial_count": splats, "growth": "none"}
    prior = str(model_folder(family, part.scratch, part.small))
    fields = {"prompt": "a chair", "prior": prior, "objective": "vdm", "recipe": recipe}
    folder = JobFolder(Path(part.scratch) / f"job-{family}-{name}")
    return Session.begin(make_job(fields | ({"device": "cpu"} if part.small else {})), folder)


def _pretended(part: Part, holder: Holder | None, family: str, size: int, context: float, device: torch.device) -> None:
    """A run of a few steps on a card of this size."""
    unload_large_prior()
    if holder is not None:
        holder.leave(size * GIB - context)
    free = free_bytes(device)
    row: dict[str, Any] = {"family": family, "card_gb": size, "free_gib": free / GIB}
    expected = min(VIEWS, most_views(family, int(min(free, 1e15))))  # type: ignore[arg-type]
    row |= {"views_by_the_table": expected}
    began = time.perf_counter()
    try:
        session = _session(part, family, VIEWS, f"{size}")
    except UserError as error:
        row |= {"refused": str(error)}
        if expected:
            part.failed(f"{family} on {size} GB", ArithmeticError("refused although the table has room for it"))
    else:
        row |= _steps(session) | {"notes": session.notes, "seconds": time.perf_counter() - began}
        if row["views"] != expected:
            part.failed(f"{family} on {size} GB", ArithmeticError(f"{row['views']} views, by the table {expected}"))
        del session
    row |= _given_back(part, device)
    part.row("cards", **row)
    what = row.get("refused") or f"{row['views']} views, warnings {row['warnings'] or 'none'}"
    part.headline(f"{family} on {size} GB: {what}")


def _steps(session: Session) -> dict[str, Any]:
    """Take a few steps: what the run says, how many views it takes, and its peak."""
    on_card = session.run.prior.device.type == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    at_first = session.run.views
    said = [event.text for event in session.steps(session.run.step + STEPS) if isinstance(event, Warning)]
    means = session.run.scene.splats().means
    return {
        "views_at_first": at_first,
        "views": session.run.views,
        "warnings": [text for text in said if text not in session.notes],
        "told": said,
        "finite": bool(torch.isfinite(means).all()),
        "steps": session.run.step,
        "allocated": torch.cuda.max_memory_allocated() / GIB if on_card else 0.0,
        "reserved": torch.cuda.max_memory_reserved() / GIB if on_card else 0.0,
    }


def _given_back(part: Part, device: torch.device) -> dict[str, float]:
    """Unload, and look what torch still has and what the driver calls free, before and after, in GiB."""
    before = _memory(device)
    unload_large_prior()
    after = _memory(device)
    if after["reserved"] > KEPT:
        part.failed("unloading", ArithmeticError(f"torch still holds {after['reserved']:.2f} GiB"))
    return {f"{name}_before": value for name, value in before.items()} | {
        f"{name}_after": value for name, value in after.items()
    }


def _memory(device: torch.device) -> dict[str, float]:
    gc.collect()
    if device.type != "cuda":
        return {"reserved": 0.0, "free": 0.0}
    return {"reserved": torch.cuda.memory_reserved() / GIB, "free": torch.cuda.mem_get_info()[0] / GIB}


def _tight(part: Part, holder: Holder, family: str, device: torch.device) -> None:
    """Another program takes the card in the middle of a run: it must take fewer views from there on, and say so."""
    unload_large_prior()
    holder.leave(1e15)
    wanted, fitting = TIGHT[family]
    session = _session(part, family, wanted, "tight")
    _steps(session)
    torch.cuda.empty_cache()
    room = (PEAK_GIB[family][fitting] + SLACK) * GIB  # type: ignore[index]
    free = holder.leave(room - torch.cuda.memory_reserved())
    row = {"family": family, "room_gib": (free + torch.cuda.memory_reserved()) / GIB, "by": "another program"}
    _expect_fewer(part, row | _steps(session), wanted)
    del session
    part.put(**{f"after_{family}": _given_back(part, device)})


def _limited(part: Part, device: torch.device) -> None:
    """The same by torch's own limit, as on Windows, where the driver would go on in the machine's memory."""
    unload_large_prior()
    session = _session(part, "sd-512", 8, "limited")
    _steps(session)
    room = (PEAK_GIB["sd-512"][4] + SLACK) * GIB
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.mem_get_info()[1])
    try:
        _expect_fewer(part, {"family": "sd-512", "room_gib": room / GIB, "by": "torch's limit"} | _steps(session), 8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _expect_fewer(part: Part, row: dict[str, Any], wanted: int) -> None:
    part.row("runs_out", **row)
    part.headline(f"{row['family']}, room {row['room_gib']:.2f} GiB by {row['by']}: {wanted} -> {row['views']} views")
    if row["views"] >= wanted or not row["warnings"] or not row["finite"]:
        part.failed(f"{row['family']}: memory runs out", ArithmeticError("no fewer views, or nothing was said"))
