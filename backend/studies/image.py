"""`image`: text-to-2D, the same loop on plain pictures, for every objective; and a contact sheet."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from backend.cameras import CameraRange
from backend.files import replacing
from backend.guidance.rules import RULES
from backend.job.job import Job, make_job
from backend.job.recipe import Stage
from backend.run.assemble import assemble_picture, load_prior
from backend.run.devices import choose_device
from backend.run.distill import distill
from backend.run.events import StepDone
from backend.run.threads import use_threads
from backend.studies.cells import cell
from backend.studies.evaluate.references import prior_checksum
from backend.studies.evaluate.sheet import table_sheet
from backend.terminal import say

RATE = 0.02  # of Adam, on pixels in [0,1]
SHOWN = 96  # pixels, the side of a picture on the sheet
# One camera: the object fills the picture, seen from its front right.
CAMERA = CameraRange(azimuth=(30.0, 30.0), elevation=(15.0, 15.0), framing=(1.1, 1.1))


def draw_all(prompts: Sequence[str], objectives: Sequence[str], out: Path, seed: int, steps: int, count: int) -> int:
    """Draw every prompt with every objective (all if none is named); the exit code.

    Pictures of an earlier call with the same settings are kept.  Raises UserError before anything is drawn where a
    setting or a prompt cannot be used.
    """
    prompts = list(dict.fromkeys(prompts))
    jobs = {
        (name, prompt): picture_job(name, prompt, seed, steps, count)
        for name in objectives or RULES
        for prompt in prompts
    }
    for job in jobs.values():
        load_prior(job, choose_device(job.device))
    out.mkdir(parents=True, exist_ok=True)
    for (name, prompt), job in jobs.items():
        file = out / f"{cell(name, prompt, seed)}.png"
        if not already_drawn(job, file):
            figures = draw(job, file)
            say(f"{name:14} {prompt}: {figures['seconds']:.0f} s, saturation {figures['saturation']:.2f}")
    rows = {
        name: [Image.open(out / f"{cell(name, prompt, seed)}.png").convert("RGB") for prompt in prompts]
        for name in dict.fromkeys(name for name, _ in jobs)
    }
    table_sheet(rows, prompts, SHOWN).save(out / "sheet.png", optimize=True)
    say(str(out / "sheet.png"))
    return 0


def picture_job(objective: str, prompt: str, seed: int, steps: int, count: int) -> Job:
    """The objective's own recipe on the embedded prior, for pictures."""
    job = make_job({"prompt": prompt, "objective": objective, "seed": seed, "recipe": {"steps": steps, "views": count}})
    recipe = msgspec.structs.replace(
        job.recipe,
        cameras=CAMERA,
        stages=(Stage(side=64),),
        # The pictures are independent particles, not views of one object.
        catalogue=msgspec.structs.replace(job.recipe.catalogue, joint=False),
    )
    return msgspec.structs.replace(job, recipe=recipe, said=msgspec.UNSET)


def already_drawn(job: Job, file: Path) -> bool:
    """Whether an earlier call drew this job, with the prior as it is now."""
    try:
        before = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        Image.open(file).verify()
    except (OSError, SyntaxError, ValueError):
        return False
    return (before.get("job"), before.get("prior")) == (
        msgspec.json.decode(msgspec.json.encode(job)),
        prior_checksum(job.prior),
    )


def draw(job: Job, file: Path) -> dict[str, Any]:
    """Run one job; writes its pictures side by side into `file`, and their cost into a JSON file next to it."""
    device = choose_device(job.device)
    prior, _ = load_prior(job, device)
    use_threads(prior)
    run, scene = assemble_picture(job, prior, device, RATE)
    began, last = time.monotonic(), {}
    for event in distill(run, job.recipe.steps):
        if isinstance(event, StepDone):
            last = event.metrics
    figures = {
        "seconds": time.monotonic() - began,
        "prior_calls": run.prior.calls,
        "prior_rows": run.prior.rows,
        **last,
    }
    strip = np.concatenate(list((scene.pictures() * 255).round().byte().numpy()), axis=1)
    file.with_suffix(".json").write_text(
        json.dumps({"job": msgspec.to_builtins(job), "prior": prior_checksum(job.prior), **figures}) + "\n",
        encoding="utf-8",
    )
    with replacing(file) as new:
        Image.fromarray(strip).save(new)
    return figures
