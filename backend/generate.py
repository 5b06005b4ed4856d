"""`generate`: one job from its sentence to its folder, with a progress bar."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend import events
from backend.assemble import assemble, choose_device, load_prior
from backend.distill import DivergedError, distill
from backend.errors import UserError
from backend.export.mesh import extract_mesh
from backend.export.ply import write_ply
from backend.export.texture import bake, unwrap, write_glb
from backend.export.turntable import turntable_png, turntable_webp
from backend.folder import JobFolder
from backend.recipe import Job, JobError

console = Console(stderr=True, highlight=False)
STOPPED = 130


def generate(job: Job, out: Path, overwrite: bool = False) -> int:
    """Run a new job; the exit code.  Bad input is refused before anything is written."""
    folder = JobFolder(out)
    folder.refuse_if_used(overwrite)
    session = Session(job, folder)
    folder.begin(job)
    return session.drive(job.recipe.steps)


def go_on(out: Path, more: int | None) -> int:
    """Go on with a stopped run: to its end, or `more` steps from where it is."""
    folder = JobFolder(out)
    job, state = folder.job(), folder.load()
    session = Session(job, folder)
    session.run.load_state_dict(state)
    at = session.run.step
    until = job.recipe.steps if more is None else at + more
    if at >= until:
        raise JobError(f"continue: the run is already at its last step, {at}; add --steps N for N more.")
    return session.drive(until)


class Session:
    """One sitting at a job: its run, where it is kept, and what there is to tell about it."""

    def __init__(self, job: Job, folder: JobFolder) -> None:
        self.job, self.folder, self.began = job, folder, time.time()
        device = choose_device(job.device)
        prior, self.notes = load_prior(job, device)
        self.run, self.to_scene = assemble(job, prior, device)
        self.last: dict[str, float] = {}

    def drive(self, until: int) -> int:
        """Take the events one by one; save now and then, at the end, and when asked to stop.  The exit code."""
        for text in self.notes:
            self.note(text)
        try:
            with _stop_key() as stopped, _bar(self.job, self.run.step, until) as bar:
                for event in distill(self.run, until):
                    self.take(event, bar)
                    if stopped:
                        break
        except DivergedError as error:
            self.save()
            console.print(f"{error} The run stopped; the state before that step is in {self.folder.path}.")
            return 1
        self.save()
        if self.run.step < until:
            command = f"python -m backend generate --continue {self.folder.path}"
            console.print(f"Stopped after step {self.run.step}. Go on with: {command}")
            return STOPPED
        self.finish()
        return 0

    def take(self, event: events.Event, bar: Callable[[events.Progress], None]) -> None:
        """Log an event, show it, and save where the recipe says so."""
        self.folder.log(event)
        if isinstance(event, events.Progress):
            self.last = event.metrics
            bar(event)
            if event.step % self.job.recipe.checkpoint_every == 0:
                self.folder.save(self.run.state_dict())

    def note(self, text: str) -> None:
        """Tell the user something that is no error."""
        console.print(f"[yellow]Note:[/] {text}")
        self.folder.log(events.Warning(text))

    def save(self) -> None:
        """The state to go on from, and the splats to look at."""
        self.folder.save(self.run.state_dict())
        write_ply(self.run.scene.splats(), self.folder / "splats.ply")

    def finish(self) -> None:
        """Everything that is made of the finished splats; a surface that cannot be made is a note, no failure."""
        splats = self.run.scene.splats()
        turntable_png(splats, self.folder / "turntable.png")
        turntable_webp(splats, self.folder / "turntable.webp")
        figures: dict[str, Any] = {"splats": len(splats)}
        try:
            surface = extract_mesh(splats)
            write_glb(bake(unwrap(surface), splats), self.folder / "mesh.glb", self.job.prompt)
            figures |= {"vertices": len(surface.vertices), "faces": len(surface.faces)}
            notes = surface.warnings
        except UserError as error:
            notes = (f"No mesh was made: {error}",)
        for text in notes:
            self.note(text)
        self.folder.write_metrics(self.figures() | figures | {"notes": [*self.notes, *notes]})
        console.print(f"Done in {time.time() - self.began:.0f} s: {self.folder.path}")

    def figures(self) -> dict[str, Any]:
        """What the run was, and what this sitting at it cost."""
        said = {"prompt": self.job.prompt, "objective": self.job.objective, "seed": self.job.seed}
        cost = {
            "unet_calls": self.run.prior.calls,
            "unet_rows": self.run.prior.rows,
            "seconds": time.time() - self.began,
        }
        return said | cost | {"steps": self.run.step, "last": self.last, "to_scene": self.to_scene.tolist()}


@contextmanager
def _stop_key() -> Iterator[list[int]]:
    """Ctrl-C fills the list instead of raising, so that the step under way is finished."""
    pressed: list[int] = []

    def press(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(job: Job, start: int, until: int) -> Iterator[Any]:
    """A progress bar with steps a second, seconds left, and the numbers of the step."""
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    numbers = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, *numbers, console=console) as progress:
        task = progress.add_task(job.objective, total=until, completed=start, rate="", numbers="")
        began = time.monotonic()

        def show(event: events.Progress) -> None:
            rate = (event.step - start) / max(time.monotonic() - began, 1e-9)
            numbers = " ".join(f"{name} {value:.3g}" for name, value in event.metrics.items())
            progress.update(task, completed=event.step, rate=f"{rate:.1f} steps/s", numbers=numbers)

        yield show
