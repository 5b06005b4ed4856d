"""Rows of `build.py bench` on this machine: steps of some rules with the prior's true share, whole runs, the mesh."""

from __future__ import annotations

from backend.studies.bench.mesh import mesh_rows
from backend.studies.bench.runs import time_run
from backend.studies.bench.steps import time_objective
from tools.gpu.part import Part

RULES = ("vdm", "sds", "jsd", "vsd")
RUNS = (("vdm", "draft"), ("vdm", "normal"), ("sds", "normal"))
NEEDED = 15.0  # seconds for a row


def measure(part: Part) -> None:
    """As many rows as there is time for."""
    for rule in RULES[: 1 if part.small else None]:
        if part.left > NEEDED:
            with part.attempt(f"step of {rule}"):
                row = time_objective(rule, 1 if part.small else 10)
                part.row("steps", rule=rule, **row)
                share = f"{row['prior_share']:.0%} of it the prior's"
                part.headline(f"{rule}: {1e3 * row['seconds']:.1f} ms a step, {share}, {row['peak_mib']:.0f} MiB")
    for rule, quality in () if part.small else RUNS:
        if part.left > NEEDED:
            with part.attempt(f"run of {rule}, {quality}"):
                run = time_run(rule, quality)
                part.row("runs", **run)
                part.headline(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v}" for k, v in run.items()))
    if part.left > NEEDED and not part.small:
        with part.attempt("mesh"):
            part.put(mesh=mesh_rows())
