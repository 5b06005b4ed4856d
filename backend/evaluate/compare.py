"""`compare`: objectives, or variants of them, on the same prompts and seeds, in pieces; judged by `evaluate`.

All have the same budget.  It counts pictures through the U-Net, for a call with two conditions of four views costs
eight.  A rule that asks more often gets fewer steps: its schedule is stretched over what the budget buys.  A variant
that says how many steps it takes gets those.  Seeds are the outermost loop, so that an interrupted comparison is a
smaller one, and the next call goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.console import Console
from rich.progress import track

from backend.assemble import assemble, choose_device, load_prior
from backend.distill import distill
from backend.evaluate.command import evaluate
from backend.evaluate.others import OtherJudges
from backend.export.ply import write_ply
from backend.export.turntable import turntable_png
from backend.folder import JobFolder
from backend.pictures import slug
from backend.recipe import Job, JobError, make_job, read_job
from backend.session import Session

PROMPTS = (
    "a wooden chair", "a red sofa", "a desk lamp", "a red apple",
    "a blue vase", "a green bottle", "a brown bookcase", "a red car",
)  # fmt: skip
Fields = dict[str, Any]  # of a job
PROBE = 4  # steps that tell what a step costs, spread over the whole schedule

console = Console(stderr=True, highlight=False)


def compare(
    prompts: Sequence[str],
    variants: Mapping[str, Fields],
    seeds: int,
    budget: int,
    out: Path,
    with_references: bool = True,
) -> int:
    """Run what is not there yet, then evaluate all that is; the exit code.

    `variants` are the fields of a job by a name of their own.  Raises UserError before anything is run where a prompt
    or a variant cannot be used.
    """
    prompts = list(dict.fromkeys(prompt.strip() for prompt in prompts if prompt.strip())) or PROMPTS
    jobs = {name: make_job({**fields, "prompt": prompts[0]}) for name, fields in variants.items()}
    for prompt in prompts:
        job = make_job({"prompt": prompt})
        load_prior(job, choose_device(job.device))  # which refuses what it understands nothing of
    paid = {name: within_budget(job, variants[name], budget) for name, job in jobs.items()}
    cells = [(seed, prompt, name) for seed in range(seeds) for prompt in prompts for name in jobs]
    folders = []
    for seed, prompt, name in track(cells, "comparing", console=console):
        folder, job = (
            JobFolder(out / "runs" / f"{slug(name)}-{slug(prompt)}-{seed}"),
            replace(paid[name], prompt=prompt, seed=seed),
        )
        if not finished(folder, job):
            run(job, folder)
        folders.append(folder.path)
    return evaluate(folders, out, OtherJudges(), with_references)


def read_variants(file: Path) -> dict[str, Fields]:
    """The variants in a JSON object of job fields by name; JobError where it is none."""
    found = read_job(file)
    if not found or not all(isinstance(fields, dict) for fields in found.values()):
        raise JobError(f"variants: {file} must hold a JSON object with what each variant sets, by the variant's name.")
    if len({slug(name) for name in found}) < len(found):
        raise JobError(f"variants: two names in {file} differ in nothing but punctuation; the folders need others.")
    return found


def within_budget(job: Job, fields: Fields, budget: int) -> Job:
    """The job with as many steps as the budget buys, from a run of PROBE steps over the whole schedule.

    Or with the number of steps that its fields ask for.
    """
    if "steps" in fields.get("recipe", {}):
        return job
    device = choose_device(job.device)
    trial, _ = assemble(lasting(job, PROBE), load_prior(job, device)[0], device)
    for _ in distill(trial, PROBE):
        pass
    steps = budget * PROBE // trial.prior.rows
    if steps < 1:
        least = -(-trial.prior.rows // PROBE)
        raise JobError(f"budget: {budget} pictures do not pay a step of {job.objective}; give at least {least}.")
    return lasting(job, steps)


def lasting(job: Job, steps: int) -> Job:
    """The job with its schedule stretched over so many steps."""
    return replace(job, recipe=replace(job.recipe, steps=steps))


def finished(folder: JobFolder, job: Job) -> bool:
    """Whether an earlier call ran this very job there, to its end."""
    return (folder / "metrics.json").exists() and make_job(read_job(folder / "job.json")) == job


def run(job: Job, folder: JobFolder) -> None:
    """One cell: splats, turntable and metrics, no mesh; from the start where an earlier call was interrupted."""
    session = Session(job, folder)
    folder.begin(job)
    for _ in session.steps(job.recipe.steps):
        pass
    splats = session.run.scene.splats()
    write_ply(splats, folder / "splats.ply")
    turntable_png(splats, folder / "turntable.png")
    figures: dict[str, Any] = msgspec.to_builtins(session.figures())
    folder.write_metrics(figures)
