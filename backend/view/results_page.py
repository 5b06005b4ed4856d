"""The page of results on the disk: a job, or several side by side, along the steps of their runs."""

from __future__ import annotations

import time
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.view.disk import JobOnDisk, find_jobs, labels
from backend.view.page import line, warning
from backend.view.stage import Exhibit, Stage

SHOWN_AT_FIRST = 6
LOOK_EVERY = 1.0  # seconds between two looks at the disk
NOTHING_YET = "No splats yet: they appear after the run's first steps."


class ResultsPage:
    """What `update` puts on the page.  A click only leaves its value in a handle, which `update` then reads.

    Raises UserError where there is nothing to show.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs: dict[Path, JobOnDisk] = {}
        self._looked = 0.0
        self._look()
        problems = [job.hopeless for job in self.jobs.values()]
        if all(problems):
            raise UserError(problems[0])

    @property
    def title(self) -> str:
        """What the page is called."""
        return self.root.resolve().name

    def open(self, server: Any) -> None:
        """Make the page's parts."""
        gui = server.gui
        self._stage, self._gui = Stage(server), gui
        self._step = gui.add_slider("Step", min=0, max=max(1, self._last()), step=1, initial_value=self._last())
        self._follow = gui.add_checkbox("Follow the run", True, hint="Go to each new step as it comes")
        self._step.on_update(self._moved)
        self._text = gui.add_html("")
        self._choices: dict[Path, Any] = {}
        self._list = gui.add_folder("Results", visible=False)
        self._notes = gui.add_html("")

    def _moved(self, event: Any) -> None:
        if event.client is not None:  # by hand, not by us
            self._follow.value = self._step.value >= self._last()

    def update(self) -> None:
        """Show how things are now."""
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._look()
        last = max(1, self._last())
        if self._step.max != last:
            self._step.max = last
        if self._follow.value and self._step.value != last:
            self._step.value = last
        names = dict(zip(self.jobs, labels(list(self.jobs.values())), strict=True))
        self._offer(names)
        shown = [path for path in self.jobs if path not in self._choices or self._choices[path].value]
        step = int(self._step.value)
        self._stage.show([self._exhibit(path, names[path], step) for path in shown if self.jobs[path].moments])
        self._tell(shown, names, step)

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        try:
            paths = find_jobs(self.root)
        except UserError:
            if not self.jobs:
                raise
            paths = []  # somebody has deleted them
        self.jobs = {path: self.jobs.get(path) or JobOnDisk(path) for path in paths}
        for job in self.jobs.values():
            job.refresh()
        self._looked = time.monotonic()

    def _last(self) -> int:
        return max((job.last for job in self.jobs.values()), default=0)

    def _offer(self, names: dict[Path, str]) -> None:
        """A box to tick for each result, if there are several."""
        for path in [path for path in self._choices if path not in names]:
            self._choices.pop(path).remove()
        for path, name in names.items():
            if len(names) > 1 and path not in self._choices:
                ticked = sum(bool(box.value) for box in self._choices.values()) < SHOWN_AT_FIRST
                with self._list:
                    self._choices[path] = self._gui.add_checkbox(name, ticked, hint=str(path))
            elif path in self._choices and self._choices[path].label != name:
                self._choices[path].label = name
        if self._list.visible != bool(self._choices):
            self._list.visible = bool(self._choices)

    def _exhibit(self, path: Path, name: str, step: int) -> Exhibit:
        job = self.jobs[path]
        at = job.moment(step)
        assert at is not None
        label = name if len(self.jobs) > 1 else str(job.fields.get("prompt") or path.resolve().name)
        return Exhibit(path, label, (at, job.moments[at]), partial(job.splats, at))

    def _tell(self, shown: list[Path], names: dict[Path, str], step: int) -> None:
        jobs = [self.jobs[path] for path in shown]
        text = _about(jobs[0], step) if len(self.jobs) == 1 and jobs else ""
        if len(self.jobs) > 1:
            text = "".join(line(f"{names[job.path]}: {_where(job, step)}") for job in jobs)
        notes = "".join(warning(problem) for job in jobs for problem in job.problems.values())
        diverged = [(job, why) for job in jobs if (why := _diverged(job))]
        notes += "".join(warning(f"{names[job.path]}: {why}") for job, why in diverged)
        for handle, content in ((self._text, text), (self._notes, notes)):
            if handle.content != content:
                handle.content = content


def _where(job: JobOnDisk, step: int) -> str:
    """Which step is seen."""
    at = job.moment(step)
    if at is None:
        return NOTHING_YET
    return f"splats of step {at} of {max(job.of, job.last)}"


def _about(job: JobOnDisk, step: int) -> str:
    """The job, the step and its metrics."""
    said = [str(job.fields[key]) for key in ("objective", "prior") if job.fields.get(key)]
    said += [f"seed {job.fields.get('seed', 0)}"] if job.fields else []
    metrics = job.steps.get(step, {})
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{value:.4g}</td></tr>" for name, value in metrics.items()
    )
    table = f'<table style="margin:0.3em 0.6em;font-size:0.9em;border-spacing:1em 0">{rows}</table>' if rows else ""
    ready = f"Step {step} of {max(job.of, job.last)}" if job.steps else "Before the first step"
    return line(", ".join(said)) + line(ready, strong=True) + line(_where(job, step).capitalize()) + table


def _diverged(job: JobOnDisk) -> str:
    try:
        return job.folder.diverged()
    except UserError:
        return ""
