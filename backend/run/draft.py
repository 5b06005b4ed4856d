"""A draft: a short run on a kit's prior, from whose splats a run with a large prior goes on.

It has the job's prompt and seed and the recipe that is tuned for the kit, at draft quality.  On a graphics card it
takes seconds and no prior has to be loaded for it, so that there is something to see while the large one still is on
the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import msgspec
import torch

from backend.job.job import Job, make_job
from backend.run.assemble import Start, assemble, load_prior
from backend.run.credits import credits_of
from backend.run.distill import Run, distill
from backend.run.events import DraftStep, Event, Preview, Snapshot, StepDone
from backend.run.threads import use_threads
from backend.scenes.number import with_number


def draft_job(job: Job) -> Job:
    """The job of a job's draft.  Settings that the user chose for kits (recipe.catalogue) are the draft's."""
    seed = job.seed if job.recipe.start_seed is None else job.recipe.start_seed
    said = job.said.get("catalogue", {}) if isinstance(job.said, dict) else {}
    fields = {"prompt": job.prompt, "negative_prompt": job.negative_prompt, "prior": job.start_prior, "seed": seed}
    return make_job({**fields, "quality": "draft", "device": job.device, "recipe": {"catalogue": said} if said else {}})


def open_draft(job: Job, device: torch.device) -> tuple[Run, list[str]]:
    """The draft's run at its step 0, and sentences on what it is drawn from.

    UnknownThingError where the kit has nothing for the prompt, PriorError where the kit cannot be used.
    """
    draft = draft_job(job)
    prior, notes = load_prior(draft, device)
    use_threads(prior)
    return assemble(draft, prior, device), [f"Draft: {note[:1].lower()}{note[1:]}" for note in notes]


def draft_steps(run: Run) -> Iterator[Event]:
    """Take the steps that are left of the draft; raises DivergedError as `distill` does."""
    for event in distill(run, run.recipe.steps):
        yield DraftStep(**asdict(event)) if isinstance(event, StepDone) else event


def before_step_0(event: Event) -> Event:
    """A picture or splats of the draft, at step 0 of the job."""
    return replace(event, step=0) if isinstance(event, Preview | Snapshot) else event


def finished_draft(job: Job, run: Run) -> tuple[Start, dict[str, Any]]:
    """The start that a finished draft is, with the number of splats of the job's recipe; and what metrics.json says."""
    settings, splats = job.recipe.splats, run.scene.splats()
    credits = [msgspec.to_builtins(one) for one in credits_of(run.prior.prior, splats)]
    told = {"start": "draft", "prior": job.start_prior, "prompt": job.prompt, "steps": run.step, "credits": credits}
    chosen = with_number(splats, settings.initial_count, settings.cap_max)
    return Start(chosen, torch.eye(4), torch.Generator().manual_seed(job.seed)), told
