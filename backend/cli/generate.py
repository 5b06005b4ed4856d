"""`generate`: one job from its sentence to its folder, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.job.job import Job, JobError
from backend.run import events
from backend.run.distill import DivergedError
from backend.run.folder import JobFolder
from backend.run.memory import is_out_of_memory, what_helps
from backend.run.session import Session
from backend.terminal import STOPPED, by, console, note, stop_key, tell

FAILED = 1
LAST = events.Made("metrics.json")


def generate(job: Job, out: Path, overwrite: bool = False) -> int:
    """Run a new job; the exit code.  Bad input is refused before anything is written."""
    folder = JobFolder(out)
    folder.refuse_if_used(overwrite)
    return _drive(Session.begin(job, folder), job.recipe.steps)


def go_on(out: Path, more: int | None) -> int:
    """Go on with a stopped run: to its end, or `more` steps from where it is; or with results that are missing."""
    folder = JobFolder(out)
    session = Session.resume(folder)
    at = session.run.step
    until = max(at, session.job.recipe.steps) if more is None else at + more
    if at >= until and (folder / "metrics.json").exists():
        raise JobError(f"continue: the run is already at its last step, {at}; add --steps N for N more.")
    return _drive(session, until)


def _drive(session: Session, until: int) -> int:
    """Take the events one by one; save at the end, and when asked to stop.  The exit code."""
    try:
        with stop_key() as stopped:
            return _results(session, until, stopped) if _steps(session, until, stopped) else STOPPED
    except DivergedError as error:
        return _broken_off(session, str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _broken_off(session, what_helps(session.job))


def _steps(session: Session, until: int, stopped: list[float]) -> bool:
    """All steps, or those until a stop was asked for; whether all were taken."""
    run = session.run
    with _bar(session.job, run.step, until) as bar:
        for event in session.steps(until):
            _show(event, bar)
            if stopped:
                break
    for text in session.save():
        note(text)
    if run.step < until:
        tell(f"Stopped after step {run.step}. Go on{_continuing(session, until)}")
    return run.step >= until


def _results(session: Session, until: int, stopped: list[float]) -> int:
    for event in session.results():
        _show(event)
        if stopped and event != LAST:
            tell(f"Stopped; the splats are there. Make the rest{_continuing(session, until)}")
            return STOPPED
    tell(f"Done in {time.time() - session.began:.0f} s: {session.folder.path}")
    return 0


def _broken_off(session: Session, why: str) -> int:
    """Save what can be gone on from, and tell."""
    kept, folder = session.rescue(), session.folder
    for text in kept or ():
        note(text)
    if kept is not None:
        tell(f"{why} The run stopped; step {session.run.step} is in {folder.path}.")
    elif (folder / "checkpoint.safetensors").exists():
        tell(f"{why} The run stopped; its last checkpoint is in {folder.path}.")
    else:
        tell(f"{why} The run stopped before its first checkpoint.")
    return FAILED


def _continuing(session: Session, until: int) -> str:
    """By which command to go on to where this one would have gone."""
    left = until - session.run.step
    steps = ["--steps", str(left)] if left > 0 and until != session.job.recipe.steps else []
    return by(["generate", "--continue", str(session.folder.path.absolute()), *steps])


def _show(event: events.Event, bar: Callable[[events.StepDone], None] | None = None) -> None:
    if isinstance(event, events.Warning):
        note(event.text)
    elif isinstance(event, events.StepDone) and bar:
        bar(event)


@contextmanager
def _bar(job: Job, start: int, until: int) -> Iterator[Any]:
    """A progress bar with steps a second, seconds left, and the numbers of the step."""
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    numbers = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, *numbers, console=console) as progress:
        task = progress.add_task(job.objective, total=until, completed=start, rate="", numbers="")
        began = time.monotonic()

        def show(event: events.StepDone) -> None:
            rate = (event.step - start) / max(time.monotonic() - began, 1e-9)
            numbers = " ".join(f"{name} {value:.3g}" for name, value in event.metrics.items())
            progress.update(task, completed=event.step, rate=f"{rate:.1f} steps/s", numbers=numbers)

        yield show
