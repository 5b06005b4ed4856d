"""A step's time by part, its calls of the prior and the peak memory, for each objective at its default recipe."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.run.assemble import assemble, load_prior
from backend.run.devices import choose_device
from backend.run.distill import Timings, distill
from backend.run.threads import use_threads

SPREAD = 5  # places of the run at which steps are timed: cost changes with t, resolution and growth


def step_rows(steps: int = 4) -> dict[str, dict[str, Any]]:
    """`steps` steps at each of `SPREAD` places of a run, each objective in its own process (peak memory)."""
    context = multiprocessing.get_context("spawn")
    rows = {}
    for name in RULES:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            rows[name] = pool.submit(time_objective, name, steps).result()
    return rows


def time_objective(name: str, steps: int) -> dict[str, Any]:
    """Mean seconds of a step and of its parts, the prior's share, calls and rows a step, steps/s, peak MiB."""
    job = make_job({"prompt": "a wooden chair", "objective": name})
    device = choose_device("auto")
    prior, _ = load_prior(job, device)
    use_threads(prior)
    run = assemble(job, prior, device)
    for _ in distill(run, 2):  # compiled kernels, caches
        pass
    run.timings, run.prior.waits = Timings(measure=True), True
    run.prior.calls, run.prior.rows, run.prior.seconds = 0, 0, 0.0
    seconds = 0.0
    for place in range(SPREAD):
        run.step = place * job.recipe.steps // SPREAD + 2
        began = time.perf_counter()
        for _ in distill(run, run.step + steps):
            pass
        seconds += time.perf_counter() - began
    count = SPREAD * steps
    parts = {part: total / count for part, total in run.timings.seconds.items()}
    parts["prior"] = run.prior.seconds / count
    parts["objective"] -= parts["prior"]
    mean = seconds / count
    shares = {
        "prior_share": parts["prior"] / mean,
        "prior_calls": run.prior.calls / count,
        "prior_rows": run.prior.rows / count,
        "times_the_renderer": mean / (parts["render"] + parts["backward"]),
    }
    return {"seconds": mean, "steps_per_second": 1 / mean, "peak_mib": peak_mib(device), **shares, "parts": parts}


def peak_mib(device: torch.device) -> float:
    """Peak memory of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would be that of the parent, if it was larger when it started this process
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    import resource  # macOS; not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
