"""Score distillation: the loop of every run.

    cameras -> render -> encode -> gradient of the objective -> backward -> optimiser, growth -> events

The prior may be on another device than the scene: pictures go there, and their gradient comes back.
Where there are several particles, each takes its turn in every step, with cameras and noise of its own; so the prior
never has more than one particle's views at a time.
The loop is a generator: whoever drives it shows, stores or sends the events, and stops by not asking for
the next one.  Everything the next step depends on is in `Run.state_dict()`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from backend.cameras import Cameras, orbit, sample_cameras, within
from backend.guidance.base import Batch, Objective
from backend.job.recipe import Backgrounds, Recipe
from backend.job.timesteps import sample_t
from backend.priors.base import Counted
from backend.run.events import Event, Preview, Snapshot, StepDone, Warning
from backend.run.memory import is_out_of_memory
from backend.run.prompts import Prompts
from backend.scenes.base import Render, Scene
from backend.state import below
from backend.tensors import numbers, onto

Metrics = dict[str, float | Tensor]
MAX_ATTEMPTS = 10  # at one step, before the run is given up
MOST_HALVINGS = 2  # of the views, where memory runs out


class DivergedError(ArithmeticError):
    """A step gave NaN or infinite numbers at every attempt; the scene is still as it was before that step."""


class Timings:
    """Seconds spent in each part of the loop, if `measure` is set (by `bench`)."""

    def __init__(self, measure: bool = False) -> None:
        self.measure, self.seconds = measure, dict[str, float]()
        self._last = time.perf_counter()

    def record(self, part: str) -> None:
        """Add the time since the last call to `part`, which ends here; "" begins a step."""
        if not self.measure:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if part:
            self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now


class SkippedSteps:
    """Counts the steps that were dropped because a number in them was NaN or infinite."""

    def __init__(self) -> None:
        self.count = self.in_a_row = 0
        self.step = -1

    def __call__(self, step: int) -> Iterator[Event]:
        """Count one: a warning at the first and each time the count doubles; DivergedError after MAX_ATTEMPTS."""
        self.count, self.in_a_row = self.count + 1, self.in_a_row + 1 if step == self.step else 1
        self.step = step
        if self.in_a_row == MAX_ATTEMPTS:
            raise DivergedError(f"Step {step}: a number became infinite or NaN, {MAX_ATTEMPTS} times in a row.")
        if self.count & (self.count - 1) == 0:
            so_far = "" if self.count == 1 else f" ({self.count} so far)"
            yield Warning(f"Step {step}: a number became infinite or NaN; the step is repeated{so_far}.")


@dataclass
class Run:
    """The parts of one run, and the step it has reached."""

    scene: Scene
    prior: Counted
    objective: Objective
    prompts: Prompts
    recipe: Recipe
    generator: torch.Generator
    step: int = 0
    timings: Timings = field(default_factory=Timings)
    views: int = 0  # a step: the recipe's, or fewer where memory is short
    halved: int = 0  # how many times they were halved, as memory had run out
    others: tuple[Scene, ...] = ()  # the particles after the first, which is `scene`

    def __post_init__(self) -> None:
        self.views = self.views or self.recipe.views

    @property
    def particles(self) -> tuple[Scene, ...]:
        """All scenes that are optimised together."""
        return (self.scene, *self.others)

    @property
    def part(self) -> Metrics:
        """Which part of the run the next step is in, if there are several; to report."""
        number, of = self.recipe.part(min(self.step / self.recipe.steps, 1.0))
        return {"stage": float(number)} if of > 1 else {}

    def _named(self) -> dict[str, Scene]:
        """The particles by what the names of their state begin with."""
        return {f"particle-{i}." if i > 1 else "scene.": scene for i, scene in enumerate(self.particles, 1)}

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, as flat tensors."""
        named = self._named().items()
        state = {f"{name}{key}": value for name, scene in named for key, value in scene.state_dict().items()}
        state |= {f"objective.{key}": value for key, value in self.objective.state_dict().items()}
        counts = {name: torch.tensor(getattr(self, name)) for name in ("step", "views", "halved")}
        return state | counts | {"generator": self.generator.get_state()}

    def resumable(self) -> bool:
        """Whether the run can go on from this state; after an error in the middle of a step it may not."""
        learned = self.objective.state_dict().values()
        scenes = all(scene.resumable() for scene in self.particles)
        return scenes and all(bool(torch.isfinite(value).all()) for value in learned)

    def may_halve(self) -> bool:
        """Whether fewer views may help after memory has run out."""
        return self.halved < MOST_HALVINGS and self.views > 1 and self.resumable()

    def halve_views(self) -> None:
        """Give back what the failed step has taken, and take half the views from now on."""
        self.drop_gradients()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        self.halved, self.views = self.halved + 1, self.views // 2

    def drop_gradients(self) -> None:
        """Leave all particles as they were before the step."""
        for scene in self.particles:
            scene.drop_gradients()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there: on a CPU the next step is the same to the last bit."""
        for name, scene in self._named().items():
            scene.load_state_dict(below(state, name))
        self.objective.load_state_dict(below(state, "objective."))
        self.generator.set_state(state["generator"].cpu())
        self.step = int(state["step"])
        if "views" in state:  # checkpoints of older versions do not have them
            self.views, self.halved = int(state["views"]), int(state["halved"])


def distill(run: Run, until: int, show_every: int = 0) -> Iterator[Event]:
    """Take steps up to `until`; with `show_every`, a Preview and a Snapshot at every so many steps.

    A step with a NaN or infinite gradient would spoil the scene: it is reported and repeated with other cameras and
    noise.  Raises DivergedError after MAX_ATTEMPTS such attempts at one step.  Where memory runs out, the step is
    repeated with half the views, and so are all that follow.
    """
    skipped = SkippedSteps()
    began, start = time.monotonic(), run.step
    while run.step < until:
        try:
            taken = [take_gradient(run, scene) for scene in run.particles]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not run.may_halve():
                raise
            taken = None
        if taken is None:  # only now is the failed step's memory free: the error had kept it
            run.halve_views()
            yield Warning(f"Out of memory at step {run.step}: from here on it takes {run.views} views a step.")
            continue
        if not all(scene.finite() for scene in run.particles):
            run.drop_gradients()
            yield from skipped(run.step)
            continue
        metrics = take_step(run, taken) | run.part
        run.timings.record("optimiser")
        run.step += 1
        left = (time.monotonic() - began) / (run.step - start) * (until - run.step)
        yield StepDone(run.step, until, left, numbers(metrics))
        if show_every and (run.step % show_every == 0 or run.step == until):
            yield from show(run)


def take_step(run: Run, taken: Sequence[tuple[Render, Metrics]]) -> Metrics:
    """Move each particle along its gradient; the metrics, each the mean over the particles."""
    rows = [
        {**metrics, **scene.step(run.step, render, run.generator)}
        for scene, (render, metrics) in zip(run.particles, taken, strict=True)
    ]
    return rows[0] if len(rows) == 1 else {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def take_gradient(run: Run, scene: Scene) -> tuple[Render, Metrics]:
    """A step of one particle as far as the gradient, which is then in its parameters; the render, what to report."""
    recipe, timings = run.recipe, run.timings
    progress = min(run.step / recipe.steps, 1.0)
    side = recipe.side(progress)
    cameras = draw_cameras(run)
    timings.record("")
    render = scene.render(cameras, side, side, draw_backgrounds(run))
    timings.record("render")
    x = run.prior.encode(onto(render.picture(run.prior.channels), run.prior.device))
    timings.record("encode")
    window, passed = recipe.levels(progress)
    t = sample_t(window, passed, len(run.prior.alphas_cumprod), run.views, run.generator)
    conditions = run.prompts.conditions(cameras)
    score = run.objective.gradient(Batch(run.prior, x.detach(), onto(t, x.device), conditions, progress, run.generator))
    timings.record("objective")
    loss = (score.gradient * x).sum() / len(x) + onto(scene.regulariser(render), x.device)
    loss.backward()  # type: ignore[no-untyped-call]
    timings.record("backward")
    return render, {"t": float(t[0]), **score.metrics}


@torch.no_grad()
def show(run: Run, side: int = 192) -> Iterator[Event]:
    """A picture of the object from its front right, and its splats; of several particles those of the first."""
    render = run.scene.render(orbit(1, start=30.0), side, side, torch.ones(1, 3))
    yield Preview(run.step, (render.rgb[0].clamp(0, 1) * 255).round().byte().cpu().numpy())
    yield Snapshot(run.step, run.scene.splats())


def draw_cameras(run: Run) -> Cameras:
    """Cameras of one step, within the recipe's range.  A prior's fixed cameras repeat only once all were used."""
    window, count = run.recipe.cameras, run.views
    if run.prior.cameras is None:
        return sample_cameras(window, count, run.generator)
    known = within(run.prior.cameras, window)
    rounds = -(-count // len(known))
    return known[torch.cat([torch.randperm(len(known), generator=run.generator) for _ in range(rounds)])[:count]]


def draw_backgrounds(run: Run) -> Tensor:
    """Colours (B,3) in [0,1]: middle grey for a prior that reads alpha, otherwise drawn by the recipe's shares."""
    count = run.views
    if run.prior.channels == 4:
        return torch.full((count, 3), 0.5)
    return sample_backgrounds(run.recipe.backgrounds, count, run.generator)


def sample_backgrounds(shares: Backgrounds, count: int, generator: torch.Generator) -> Tensor:
    """Colours (count,3) in [0,1], each view's kind drawn by its share."""
    fixed = torch.tensor([[1.0], [0.0], [0.5]]).expand(3, 3)
    odds = torch.tensor([shares.white, shares.black, shares.middle, shares.grey, shares.colour], dtype=torch.float32)
    kind = torch.multinomial(odds, count, replacement=True, generator=generator)[:, None]
    colour = torch.rand(count, 3, generator=generator)
    grey = torch.rand(count, 1, generator=generator).expand(-1, 3)
    plain = fixed[kind[:, 0].clamp(max=2)]
    return torch.where(kind == 4, colour, torch.where(kind == 3, grey, plain))
