"""How far a run is: a progress bar in a terminal, elsewhere (a farm's log) a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.run.events import DraftStep, MeshStep, StepDone
from backend.run.session import Session
from backend.terminal import LINE_SECONDS, console, say

Step = StepDone | DraftStep | MeshStep
NAMES: dict[type, str] = {DraftStep: "draft", MeshStep: "mesh"}  # of steps that are not the objective's own
ShowStep = Callable[[Step], None]


class Rate:
    """Steps per second since the first step that was told."""

    def __init__(self, first: int) -> None:
        self.first, self.began = first, 0.0

    def after(self, step: int) -> float:
        """The rate so far; 0 at the first step."""
        if not self.began:
            self.first, self.began = step, time.monotonic()
        return (step - self.first) / max(time.monotonic() - self.began, 1e-9)


@contextmanager
def progress(session: Session, until: int) -> Iterator[ShowStep]:
    """Yields what shows a step."""
    if not console.is_terminal:
        yield plain_lines(session.job.objective)
        return
    bars: list[Bar] = [(StepDone, session.job.objective, session.step, until)]
    if session.drafting:
        bars.insert(0, (DraftStep, NAMES[DraftStep], session.run.step, session.run.recipe.steps))
    with _bars(bars) as show:
        yield show


@contextmanager
def mesh_progress(session: Session) -> Iterator[ShowStep]:
    """Yields what shows a step that refines the mesh."""
    if not console.is_terminal or not session.job.recipe.mesh.refine_steps:
        yield plain_lines(session.job.objective)
        return
    with _bars([(MeshStep, NAMES[MeshStep], 0, session.job.recipe.mesh.refine_steps)]) as show:
        yield show


def plain_lines(objective: str) -> ShowStep:
    """Prints the first step, the last one, and one every LINE_SECONDS in between."""
    told: dict[type, float] = {}

    def show(event: Step) -> None:
        now, kind = time.monotonic(), type(event)
        if event.step < event.of and now - told.get(kind, float("-inf")) < LINE_SECONDS:
            return
        told[kind] = now
        name = NAMES.get(kind, objective)
        stage = f", stage {event.metrics['stage']:.0f}" if "stage" in event.metrics else ""
        left = f", {event.seconds_left:.0f} s left" if event.step < event.of else ""
        say(f"{name}: step {event.step} of {event.of}{stage}{left}")

    return show


Bar = tuple[type[Step], str, int, int]  # what it counts, its name, where it begins and ends


@contextmanager
def _bars(bars: list[Bar]) -> Iterator[ShowStep]:
    """Bars with steps per second, time left, and the metrics of the step, one above the other."""
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    numbers = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, *numbers, console=console) as shown:
        tasks = {
            kind: shown.add_task(name, total=last, completed=first, rate="", numbers="")
            for kind, name, first, last in bars
        }
        rates = {kind: Rate(first) for kind, _, first, _ in bars}

        def show(event: Step) -> None:
            rate = f"{rates[type(event)].after(event.step):.1f} steps/s"
            figures = " ".join(f"{name} {value:.3g}" for name, value in event.metrics.items())
            shown.update(tasks[type(event)], completed=event.step, rate=rate, numbers=figures)

        yield show
