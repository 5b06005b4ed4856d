"""Times of whole runs: until the first splats, the last step, and the files."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from backend.job.job import make_job
from backend.run.devices import choose_device
from backend.run.events import Snapshot
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.studies.bench.steps import peak_mib

PROMPT = "a wooden chair"
RUNS = (("vdm", "draft"), ("vdm", "normal"), ("jsd", "normal"), ("sds", "draft"), ("sds", "normal"))


def run_rows() -> list[dict[str, Any]]:
    """A row for each of `RUNS`, each in its own process (peak memory)."""
    context, rows = multiprocessing.get_context("spawn"), []
    for objective, quality in RUNS:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            rows.append(pool.submit(time_run, objective, quality).result())
    return rows


def time_run(objective: str, quality: str) -> dict[str, Any]:
    """Seconds of a job's parts, one after the other, and its peak memory in MiB; without imports."""
    job = make_job({"prompt": PROMPT, "objective": objective, "quality": quality})
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        session = Session.begin(job, JobFolder(Path(folder)))
        first = 0.0
        for event in session.steps(job.recipe.steps, show_seconds=0.2):
            first = first or (time.perf_counter() - began if isinstance(event, Snapshot) else 0.0)
        stepped = time.perf_counter()
        session.save()
        for _ in session.results():
            pass
        ended = time.perf_counter()
    seconds = {"first splats s": first, "steps s": stepped - began, "mesh and files s": ended - stepped}
    return {"rule": objective, "quality": quality, **seconds, "peak MiB": peak_mib(choose_device("auto"))}
