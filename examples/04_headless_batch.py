"""# A batch without Blender

Everything is a job's folder.  A batch is a loop over folders: `Session.begin` where there is none, `Session.resume`
where a run was stopped, nothing where it is done.  So the script may be killed and called again at any moment, and
goes on with the very splats that it would have had.

`job.json` in each folder holds every setting: `python -m backend generate --job out/batch/a-red-apple-0/job.json`
makes the same thing again.  `session.results()` makes the textured mesh and the animated turntable too, an event each;
here a row of pictures is enough.

    STEPS=200 python -m examples.04_headless_batch # makes out/batch/PROMPT-SEED/, and out/batch/sheet.png of all
"""

import os
from itertools import product
from pathlib import Path

from backend.export.turntable import turntable_png
from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.studies.evaluate.sheet import sheet

STEPS, OUT = int(os.environ.get("STEPS", "200")), Path("out/batch")
PROMPTS, SEEDS = ("a red apple", "a desk lamp"), (0,)


def run(prompt: str, seed: int, folder: JobFolder) -> None:
    """Begin the job, or go on with it, to its last step."""
    fields = {"prompt": prompt, "seed": seed, "objective": "sds", "quality": "draft", "recipe": {"steps": STEPS}}
    stopped = (folder / "checkpoint.safetensors").exists()
    session = Session.resume(folder) if stopped else Session.begin(make_job(fields), folder)
    for _ in session.steps(STEPS):
        pass
    for note in session.save():
        print(note)
    turntable_png(session.run.scene.splats(), folder / "turntable.png")
    print(f"{folder.path}: {session.run.step} steps, {session.cost()['prior_calls']} calls of the prior")


if __name__ == "__main__":
    folders = []
    for prompt, seed in product(PROMPTS, SEEDS):
        folders.append(JobFolder(OUT / f"{prompt.replace(' ', '-')}-{seed}"))
        if not (folders[-1] / "turntable.png").exists():
            run(prompt, seed, folders[-1])
    sheet([folder.path for folder in folders]).save(OUT / "sheet.png")
