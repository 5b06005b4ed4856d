"""`generate`: runs one job into its folder, and shows how far it is."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from backend.cli.progress import ShowStep, mesh_progress, progress
from backend.job.job import Job, JobError
from backend.run import events
from backend.run.distill import DivergedError
from backend.run.folder import CHECKPOINT, JobFolder
from backend.run.memory import is_out_of_memory, memory_advice
from backend.run.refine_later import refine_later
from backend.run.session import Session
from backend.terminal import STOPPED, console, note, say, stop_key, with_command

FAILED = 1
LAST = events.ResultReady("metrics.json")


def generate(job: Job, out: Path, overwrite: bool = False) -> int:
    """Run a new job; the exit code.  Bad input is refused before anything is written."""
    folder = JobFolder(out)
    folder.refuse_if_used(overwrite)
    return _drive(Session.begin(job, folder), job.recipe.steps)


def continue_run(out: Path, more: int | None, refine_steps: int | None = None) -> int:
    """Continue a stopped run to its end, or by `more` steps, and make the results that are missing.

    With `refine_steps` the mesh is made again and refined for so many steps.
    """
    JobFolder(out).refuse_particle()
    if refine_steps is not None:
        refine_later(out, refine_steps)
    folder = JobFolder(out)  # opened after that: only the last one to take a folder may write there
    session = Session.resume(folder)
    at = session.step
    until = max(at, session.job.recipe.steps) if more is None else at + more
    if at >= until and refine_steps is None and (folder / "metrics.json").exists():
        raise JobError(
            f"continue: the run is already at its last step, {at}; add --steps N for N more, or --refine-mesh N."
        )
    return _drive(session, until)


def drive_to_end(session: Session) -> int:
    """For a farm: the job's steps that are left, and its results; a run that diverges is no reason to try again."""
    return _drive(session, max(session.step, session.job.recipe.steps), diverged=0)


def _drive(session: Session, until: int, diverged: int = FAILED) -> int:
    """Take the steps, save, and make the results, until Ctrl-C; the exit code, `diverged` where the run does that."""
    try:
        with stop_key() as stopped:
            return _results(session, until, stopped) if _steps(session, until, stopped) else STOPPED
    except DivergedError as error:
        session.folder.write_diverged(str(error))
        _stopped_by_error(session, str(error))
        return diverged
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _stopped_by_error(session, memory_advice(session.job))


def _steps(session: Session, until: int, stopped: list[float]) -> bool:
    """Take all steps, or those until Ctrl-C; whether all were taken."""
    with progress(session, until) as bar:
        for event in session.steps(until):
            _show(event, bar)
            if stopped:
                break
    for text in session.save():
        note(text)
    if session.step < until:
        say(f"Stopped {_after(session)}. Continue{_continue_hint(session, until)}")
    return session.step >= until


def _after(session: Session) -> str:
    step = f"step {session.run.step}"
    return f"in the draft, after its {step}" if session.drafting else f"after {step}"


def _results(session: Session, until: int, stopped: list[float]) -> int:
    # Closed at once where it stops: the mesh is written then, as far as it is refined.
    with mesh_progress(session) as bar, closing(session.results()) as results:
        for event in results:
            _show(event, bar)
            if isinstance(event, events.ResultReady) and not console.is_terminal:
                say(f"made: {event.what}")
            if stopped and event != LAST:
                break
    if event != LAST:
        say(f"Stopped; {_kept(event)} saved. Make the other results{_continue_hint(session, until)}")
        return STOPPED
    say(f"Done in {time.time() - session.began:.0f} s: {session.folder.path}")
    return 0


def _kept(last: events.Event) -> str:
    if not isinstance(last, events.MeshStep):
        return "the splats are"
    return f"the splats and the mesh, refined for {last.step} of {last.of} steps, are"


def _stopped_by_error(session: Session, why: str) -> int:
    """Save what the run can be continued from, and say what was saved."""
    kept, folder = session.rescue(), session.folder
    for text in kept or ():
        note(text)
    if kept is not None:
        say(f"{why} The run stopped {_after(session)}, which is in {folder.path}.")
    elif (folder / CHECKPOINT).exists():
        say(f"{why} The run stopped; its last checkpoint is in {folder.path}.")
    else:
        say(f"{why} The run stopped before its first checkpoint.")
    return FAILED


def _continue_hint(session: Session, until: int) -> str:
    """The command that takes the steps that this one did not."""
    left = until - session.step
    steps = ["--steps", str(left)] if left > 0 and until != session.job.recipe.steps else []
    return with_command(["generate", "--continue", str(session.folder.path.absolute()), *steps])


def _show(event: events.Event, bar: ShowStep | None = None) -> None:
    if isinstance(event, events.Warning):
        note(event.text)
    elif isinstance(event, events.StepDone | events.DraftStep | events.MeshStep) and bar:
        bar(event)
