"""Every rule with a tiny Stable Diffusion: 20 steps at once and in two sessions, and what makes the CPU wait."""

from __future__ import annotations

import shutil
import time
import warnings
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.run.distill import distill
from backend.run.events import Warning
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.splats import Splats
from tools.gpu.models import model_folder
from tools.gpu.pack import ROOT
from tools.gpu.part import Part

STEPS, COUNTED = 20, 4
MOST_WAITS = 6  # a step
# Gradients are summed in no order on a card, and Adam's first steps enlarge what differs.
SAME = {"cuda": 0.05, "cpu": 1e-6}


def measure(part: Part) -> None:
    """A row for each rule on the tiny model, and for the default rule on the embedded prior."""
    device = "cpu" if part.small else "cuda"
    model = str(model_folder("sd-512", part.scratch / "tiny", True))
    for name in list(RULES)[: 2 if part.small else None]:
        with part.attempt(name):
            _rule(part, name, model, device)
    with part.attempt("the embedded prior"):
        _rule(part, "vdm", "embedded", device)
    _summary(part)


def _rule(part: Part, name: str, prior: str, device: str) -> None:
    began = time.perf_counter()
    fields = {"prompt": "a red chair", "negative_prompt": "a car", "objective": name, "prior": prior, "device": device}
    job = make_job(fields | {"recipe": _recipe(prior)})
    whole = _session(part, job, "whole")
    said = _take(whole, STEPS)
    first = _session(part, job, "first")
    said += _take(first, STEPS // 2)
    first.checkpoint()
    second = Session.resume(first.folder)
    said += _take(second, STEPS)
    splats, resumed = whole.run.scene.splats(), second.run.scene.splats()
    row: dict[str, Any] = {
        "rule": name,
        "prior": Path(prior).name,
        "seconds": time.perf_counter() - began,
        "splats": len(splats),
        "difference": difference(splats, resumed),
        "finite": all(bool(torch.isfinite(value).all()) for value in tensors(splats)),
        "warnings": [text for text in said if text not in whole.notes],
    }
    if device == "cuda":
        row |= waits(whole)
    part.row("rules", **row)
    if not row["difference"] <= SAME[device] or not row["finite"] or row["warnings"]:
        part.failed(name, ArithmeticError(f"not as undisturbed, not finite, or with warnings: {row}"))


def _recipe(prior: str) -> dict[str, Any]:
    splats = {"initial_count": 500, "growth": "none"}
    side = 64 if prior == "embedded" else 32
    return {"steps": STEPS, "views": 2, "stages": [{"side": side}], "splats": splats}


def _session(part: Part, job: Any, name: str) -> Session:
    path = part.scratch / f"rule-{name}"
    shutil.rmtree(path, ignore_errors=True)
    return Session.begin(job, JobFolder(path))


def _take(session: Session, until: int) -> list[str]:
    return [event.text for event in session.steps(until) if isinstance(event, Warning)]


def tensors(splats: Splats) -> list[torch.Tensor]:
    """All numbers of some splats, on the CPU."""
    return [getattr(splats, field.name).detach().cpu() for field in fields(splats)]


def difference(splats: Splats, others: Splats) -> float:
    """The largest relative difference of any kind of number; infinite where there are more or fewer splats."""
    if len(splats) != len(others):
        return float("inf")
    pairs = zip(tensors(splats), tensors(others), strict=True)
    return max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in pairs)


def waits(session: Session) -> dict[str, Any]:
    """How often a step makes the CPU wait for the card, by torch's own count, and where in our code."""
    run = session.run
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in distill(run, run.step + COUNTED):
                pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
    ours = [warning for warning in caught if "synchroniz" in str(warning.message)]
    places = Counter(f"{_below(warning.filename)}:{warning.lineno}" for warning in ours)
    return {"waits_a_step": len(ours) / COUNTED, "places": dict(places.most_common(25))}


def _below(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else "/".join(path.parts[-3:])


def _summary(part: Part) -> None:
    rows = part.found.get("rules", [])
    if rows:
        worst = max(rows, key=lambda row: float(row["difference"]))
        part.headline(f"{len(rows)} rules; resumed differs at most by {worst['difference']:.1e} ({worst['rule']})")
    counted = [row for row in rows if "waits_a_step" in row]
    for row in counted:
        part.headline(f"{row['rule']} on {row['prior']}: the CPU waits {row['waits_a_step']:g} times a step")
    if counted and counted[-1]["places"]:
        part.headline("places: " + ", ".join(f"{place} {count}" for place, count in counted[-1]["places"].items()))
