"""`generate`: runs one job into its folder, with a progress bar."""

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
from backend.run.memory import is_out_of_memory, memory_advice
from backend.run.session import Session
from backend.terminal import STOPPED, console, note, say, stop_key, with_command

FAILED = 1
LAST = events.ResultReady("metrics.json")


def generate(job: Job, out: Path, overwrite: bool = False) -> int:
    """Run a new job; the exit code.  Bad input is refused before anything is written."""
    folder = JobFolder(out)
    folder.refuse_if_used(overwrite)
    return _drive(Session.begin(job, folder), job.recipe.steps)


def continue_run(out: Path, more: int | None) -> int:
    """Continue a stopped run to its end, or by `more` steps, and make the results that are missing."""
    folder = JobFolder(out)
    session = Session.resume(folder)
    at = session.run.step
    until = max(at, session.job.recipe.steps) if more is None else at + more
    if at >= until and (folder / "metrics.json").exists():
        raise JobError(f"continue: the run is already at its last step, {at}; add --steps N for N more.")
    return _drive(session, until)


def _drive(session: Session, until: int) -> int:
    """Take the steps, save, and make the results, until Ctrl-C; the exit code."""
    try:
        with stop_key() as stopped:
            return _results(session, until, stopped) if _steps(session, until, stopped) else STOPPED
    except DivergedError as error:
        return _stopped_by_error(session, str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _stopped_by_error(session, memory_advice(session.job))


def _steps(session: Session, until: int, stopped: list[float]) -> bool:
    """Take all steps, or those until Ctrl-C; whether all were taken."""
    run = session.run
    with _bar(session.job, run.step, until) as bar:
        for event in session.steps(until):
            _show(event, bar)
            if stopped:
                break
    for text in session.save():
        note(text)
    if run.step < until:
        say(f"Stopped after step {run.step}. Continue{_continue_hint(session, until)}")
    return run.step >= until


def _results(session: Session, until: int, stopped: list[float]) -> int:
    for event in session.results():
        _show(event)
        if stopped and event != LAST:
            say(f"Stopped; the splats are saved. Make the other results{_continue_hint(session, until)}")
            return STOPPED
    say(f"Done in {time.time() - session.began:.0f} s: {session.folder.path}")
    return 0


def _stopped_by_error(session: Session, why: str) -> int:
    """Save what the run can be continued from, and say what was saved."""
    kept, folder = session.rescue(), session.folder
    for text in kept or ():
        note(text)
    if kept is not None:
        say(f"{why} The run stopped; step {session.run.step} is in {folder.path}.")
    elif (folder / "checkpoint.safetensors").exists():
        say(f"{why} The run stopped; its last checkpoint is in {folder.path}.")
    else:
        say(f"{why} The run stopped before its first checkpoint.")
    return FAILED


def _continue_hint(session: Session, until: int) -> str:
    """The command that takes the steps that this one did not."""
    left = until - session.run.step
    steps = ["--steps", str(left)] if left > 0 and until != session.job.recipe.steps else []
    return with_command(["generate", "--continue", str(session.folder.path.absolute()), *steps])


def _show(event: events.Event, bar: Callable[[events.StepDone], None] | None = None) -> None:
    if isinstance(event, events.Warning):
        note(event.text)
    elif isinstance(event, events.StepDone) and bar:
        bar(event)


@contextmanager
def _bar(job: Job, start: int, until: int) -> Iterator[Any]:
    """A progress bar with steps per second, time left, and the metrics of the step."""
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
