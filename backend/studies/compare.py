"""`compare`: objectives, or variants of them, on the same prompts and seeds; evaluated by `evaluate`.

All have the same budget, counted in pictures through the prior: a call with two conditions of four views costs eight.
A rule that calls the prior more often gets fewer steps: its schedule is adapted to the number that the budget allows.
A variant that sets its number of steps gets those.  Seeds are the outermost loop, so that an interrupted comparison is
a smaller one, and the next call continues it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.progress import track

from backend.errors import UserError
from backend.export.turntable import turntable_png
from backend.job.job import Job, JobError, make_job, read_job, read_object
from backend.job.paths import as_written
from backend.job.recipe import MOST_STEPS
from backend.priors.base import PriorError
from backend.priors.kit import EMBEDDED, kit_folder
from backend.run.assemble import assemble, load_prior, open_kit
from backend.run.devices import choose_device
from backend.run.distill import DivergedError, distill
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.studies.cells import cell
from backend.studies.evaluate.command import evaluate
from backend.studies.evaluate.optional_judges import OptionalJudges
from backend.studies.evaluate.references import prior_checksum
from backend.terminal import console, skipped

PROMPTS = (
    "a wooden chair", "a red sofa", "a desk lamp", "a red apple",
    "a blue vase", "a green bottle", "a brown bookcase", "a red car",
)  # fmt: skip
Fields = dict[str, Any]  # of a job
PROBE = 4  # steps, spread over the whole schedule, from which the cost of a step is measured


def compare(
    prompts: Sequence[str],
    variants: Mapping[str, Fields],
    seeds: int,
    budget: int,
    out: Path,
    with_references: bool = True,
) -> int:
    """Run what is missing, then evaluate all runs except those that diverged (NaN or infinite); the exit code.

    `variants` are a job's fields by the variant's name.  Raises UserError before anything is run where a variant cannot
    be used, or no prompt can.
    """
    priors = dict.fromkeys(str(fields.get("prior", EMBEDDED)) for fields in variants.values())
    prompts = [prompt for prompt in prompts if all(_understood(prompt, prior) for prior in priors)]
    if not prompts:
        raise JobError("prompts: none of them can be used; write one per line, such as: a wooden chair.")
    jobs = budgeted_jobs(prompts, variants, budget)
    cells = [(seed, prompt, name) for seed in range(seeds) for prompt in prompts for name in jobs]
    folders = []
    for seed, prompt, name in track(cells, "comparing", console=console):
        folder = JobFolder(out / "runs" / cell(name, prompt, seed))
        job = replace(jobs[name], prompt=prompt, seed=seed)
        try:
            if not finished(folder, job):
                run(job, folder)
            folders.append(folder.path)
        except DivergedError as error:
            skipped(f"{folder.path.name}: {error}")
    return evaluate(folders, out, OptionalJudges(), with_references)


def _understood(prompt: str, prior: str) -> bool:
    """Whether a kit has objects for the prompt; reported if not.  Other priors accept every prompt."""
    folder = kit_folder(prior)
    if folder is None:
        return True
    chooser = open_kit(folder).chooser
    try:
        chooser.choose(prompt)
    except PriorError as error:
        skipped(str(error))
        return False
    return True


def one_start(fields: Fields) -> Fields:
    """A variant whose seeds differ only in their noise: all start from the same splats and use all matching objects."""
    recipe = fields.get("recipe", {})
    catalogue = recipe.get("catalogue", {}) if isinstance(recipe, dict) else None
    if not isinstance(catalogue, dict):
        return fields  # refused when the job is made
    return {**fields, "recipe": {**recipe, "start_seed": 0, "catalogue": {**catalogue, "objects": 0}}}


def budgeted_jobs(prompts: Sequence[str], variants: Mapping[str, Fields], budget: int) -> dict[str, Job]:
    """Each variant's job, with its number of steps.  JobError names a variant that cannot be run."""
    jobs: dict[str, Job] = {}
    for name, fields in variants.items():
        try:
            jobs[name] = within_budget(fields, prompts, budget)
        except UserError as error:
            raise JobError(f"{name}: {error}") from error
    names = list(jobs)
    if len({re.sub(r"[\W_]+", " ", name.casefold()) for name in names}) < len(names):
        raise JobError("variants: two names differ only in punctuation or case; choose distinct names.")
    for index, name in enumerate(names):
        if any(jobs[name] == jobs[other] for other in names[:index]):
            raise JobError(f"variants: {name} has the same settings as another one; remove one of them.")
    return jobs


def read_variants(file: Path) -> dict[str, Fields]:
    """The variants in a JSON file, job fields by name; JobError where it cannot be used."""
    found = read_object(file, "variants")
    if not found or not all(isinstance(fields, dict) for fields in found.values()):
        raise JobError(f"variants: {file} must be a JSON object with the settings of each variant, by its name.")
    for name, fields in found.items():
        if taken := fields.keys() & {"prompt", "seed"}:
            raise JobError(f"variants: {name} must not set {taken.pop()}, which is the same for all variants.")
    return found


def within_budget(fields: Fields, prompts: Sequence[str], budget: int) -> Job:
    """The job with as many steps as the budget allows, measured with PROBE steps over the whole schedule.

    If its fields set a number of steps, it keeps that.  JobError or PriorError where it cannot be run.
    """
    # Without `said`, as equal variants may have been written differently.
    job = replace(make_job({**fields, "prompt": prompts[0]}), said=msgspec.UNSET)
    device = choose_device(job.device)
    prior, _ = load_prior(job, device)
    trial = assemble(with_steps(job, PROBE), prior, device)
    if "steps" in fields.get("recipe", {}):
        return job
    for _ in distill(trial, PROBE):
        pass
    steps = budget * PROBE // trial.prior.rows
    if not 1 <= steps <= MOST_STEPS:
        least, most = -(-trial.prior.rows // PROBE), MOST_STEPS * trial.prior.rows // PROBE
        raise JobError(f"budget: {budget} pictures are out of range for {job.objective}; use {least} to {most}.")
    return with_steps(job, steps)


def with_steps(job: Job, steps: int) -> Job:
    """The job with its schedule over so many steps."""
    return replace(job, recipe=replace(job.recipe, steps=steps))


def finished(folder: JobFolder, job: Job) -> bool:
    """Whether an earlier call finished this job there, with the prior as it is now."""
    try:
        before, figures = read_job(folder / "job.json"), read_object(folder / "metrics.json", "metrics")
    except JobError:
        return False
    asked = as_written(msgspec.json.decode(msgspec.json.encode(job)), folder.path)
    return before == asked and figures.get("prior_mark") == prior_checksum(job.prior)


def run(job: Job, folder: JobFolder) -> None:
    """Run one job: splats, turntable and metrics of each particle, no mesh; again after an interrupted call."""
    session = Session.begin(job, folder)
    for _ in session.steps(job.recipe.steps):
        pass
    session.save_splats()
    metrics: dict[str, Any] = msgspec.to_builtins(session.summary())
    metrics |= {"placed": not folder.served, "prior_mark": prior_checksum(job.prior)}
    for number, scene in reversed(list(enumerate(session.run.particles, 1))):
        one = folder.particle(number)
        turntable_png(scene.splats(), one / "turntable.png")
        one.write_metrics(metrics)
