"""`generate --resume`: bring the job in a folder to its end from wherever it is, for farms that run a task again.

Exit code 0 also where there is nothing left to do and where the run has diverged, as another try would change neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from backend.cli import generate as runs
from backend.job.job import Job, JobError, make_job
from backend.job.paths import as_written
from backend.run.folder import CHECKPOINT, JobFolder
from backend.run.session import Session
from backend.run.start import with_default_start
from backend.terminal import note, say

Fields = dict[str, Any]
NOT_COMPARED = ("said", "start_by_default")  # who chose a setting does not change the run


def resume(fields: Fields, out: Path) -> int:
    """Begin the job in the folder, go on with it, make the results that are missing, or say that all is there.

    Raises JobError where the folder holds another job, or results of an unknown one.
    """
    folder = JobFolder(out)
    folder.refuse_particle()
    if not (folder / "job.json").exists():
        folder.refuse_results_without_job()
        return runs.drive_to_end(Session.begin(make_job(with_default_start(fields)), folder))
    held = folder.job()
    refuse_other_job(_asked(fields, held), held, folder)
    if why := folder.diverged():
        note(f"{why} The splats of its last good step are in {out}; try another seed.")
        return 0
    if folder.has_all_results(held.recipe.steps, held.recipe.mesh.refine_steps):
        say(f"Everything is there already: {out}")
        return 0
    if (folder / CHECKPOINT).exists():
        return runs.drive_to_end(Session.resume(folder))
    return runs.drive_to_end(Session.begin(held, folder))


def _asked(fields: Fields, held: Job) -> Job:
    """The job that is asked for.  A start that was chosen on another machine stays."""
    if held.start_by_default and "start" not in fields:
        fields = {**fields, "start": held.start, "start_by_default": True}
    return make_job(with_default_start(fields))


def refuse_other_job(asked: Job, held: Job, folder: JobFolder) -> None:
    """JobError where the folder holds a job with other settings; it names the first of them."""
    one, other = (_settings(job, folder.path) for job in (held, asked))
    for name, before, now in _differences(one, other):
        raise JobError(
            f"out: {folder.path} holds another job ({name} is {before!r} there, not {now!r}): name another folder, "
            "or start it again with --overwrite in place of --resume."
        )


def _settings(job: Job, folder: Path) -> Fields:
    fields = as_written(msgspec.to_builtins(job), folder)
    return {name: value for name, value in fields.items() if name not in NOT_COMPARED}


def _differences(one: Fields, other: Fields, above: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in one | other:
        before, now = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{above}{name}.")
        elif before != now:
            yield above + name, before, now
