"""Score distillation: the loop of every run.

    cameras -> render -> encode -> gradient of the objective -> backward -> optimiser, growth -> events

The loop is a generator: whoever drives it shows, stores or sends the events, and stops by not asking for
the next one.  Everything the next step depends on is in `Run.state_dict()`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from backend.cameras import Cameras, orbit, sample_cameras, within
from backend.guidance.base import Batch, Objective
from backend.job.recipe import Backgrounds, Recipe
from backend.job.timesteps import sample_t
from backend.priors.base import Counted
from backend.run.events import Event, Preview, Snapshot, StepDone, Warning
from backend.run.prompts import Prompts
from backend.scenes.base import Scene
from backend.state import below

IN_A_ROW = 10  # steps that may be spoilt one after the other


class DivergedError(ArithmeticError):
    """Numbers became NaN or infinite, time and again; the scene is still as it was before."""


class Laps:
    """Seconds spent in each part of the loop, where somebody asked for them (`bench`)."""

    def __init__(self, measure: bool = False) -> None:
        self.measure, self.seconds = measure, dict[str, float]()
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        """The part that ends here; "" begins a step."""
        if not self.measure:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if part:
            self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now


class SkippedSteps:
    """Steps that were left out, for a number in them was none."""

    def __init__(self) -> None:
        self.count = self.in_a_row = 0
        self.step = -1

    def __call__(self, step: int) -> Iterator[Event]:
        """Count one; a warning at the first of them, and whenever they have doubled.  DivergedError at the last."""
        self.count, self.in_a_row = self.count + 1, self.in_a_row + 1 if step == self.step else 1
        self.step = step
        if self.in_a_row == IN_A_ROW:
            raise DivergedError(f"Step {step}: a number became infinite or NaN, {IN_A_ROW} times in a row.")
        if self.count & (self.count - 1) == 0:
            so_far = "" if self.count == 1 else f" ({self.count} so far)"
            yield Warning(f"Step {step}: a number became infinite or NaN; the step is taken again{so_far}.")


@dataclass
class Run:
    """One run's parts and how far it is."""

    scene: Scene
    prior: Counted
    objective: Objective
    prompts: Prompts
    recipe: Recipe
    generator: torch.Generator
    step: int = 0
    laps: Laps = field(default_factory=Laps)

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next step depends on, flat."""
        state = {f"scene.{key}": value for key, value in self.scene.state_dict().items()}
        state |= {f"objective.{key}": value for key, value in self.objective.state_dict().items()}
        return state | {"step": torch.tensor(self.step), "generator": self.generator.get_state()}

    def whole(self) -> bool:
        """Whether this is a state to go on from; after an error in the middle of a step it need not be."""
        learned = self.objective.state_dict().values()
        return self.scene.whole() and all(bool(torch.isfinite(value).all()) for value in learned)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there: on a CPU the next step is the same to the last bit."""
        self.scene.load_state_dict(below(state, "scene."))
        self.objective.load_state_dict(below(state, "objective."))
        self.generator.set_state(state["generator"].cpu())
        self.step = int(state["step"])


def distill(run: Run, until: int, show_every: int = 0) -> Iterator[Event]:
    """Go on to step `until`; with `show_every`, a Preview and a Snapshot at each such step.

    A step that would spoil the scene, with a gradient that is NaN or infinite, is told and taken again, with other
    cameras and noise.  Raises DivergedError where that does not help, IN_A_ROW times.
    """
    skipped = SkippedSteps()
    began, start, recipe, lap = time.monotonic(), run.step, run.recipe, run.laps
    while run.step < until:
        progress = min(run.step / recipe.steps, 1.0)
        side = recipe.side(progress)
        cameras = draw_cameras(run)
        lap("")
        render = run.scene.render(cameras, side, side, draw_backgrounds(run))
        lap("render")
        x = run.prior.encode(render.picture(run.prior.channels))
        lap("encode")
        t = sample_t(recipe.timesteps, progress, len(run.prior.alphas_cumprod), recipe.views, run.generator).to(
            x.device
        )
        conditions = run.prompts.conditions(cameras)
        score = run.objective.gradient(Batch(run.prior, x.detach(), t, conditions, progress, run.generator))
        lap("objective")
        loss = (score.gradient * x).sum() / len(x) + run.scene.regulariser(render)
        loss.backward()  # type: ignore[no-untyped-call]
        lap("backward")
        if not run.scene.finite():
            run.scene.forget()
            yield from skipped(run.step)
            continue
        metrics = run.scene.step(run.step, render, run.generator)
        lap("optimiser")
        run.step += 1
        left = (time.monotonic() - began) / (run.step - start) * (until - run.step)
        yield StepDone(run.step, until, left, {"t": float(t[0]), **score.metrics, **metrics})
        if show_every and (run.step % show_every == 0 or run.step == until):
            yield from show(run)


@torch.no_grad()
def show(run: Run, side: int = 192) -> Iterator[Event]:
    """A picture of the object from its front right, and its splats."""
    render = run.scene.render(orbit(1, start=30.0), side, side, torch.ones(1, 3))
    yield Preview(run.step, (render.rgb[0].clamp(0, 1) * 255).round().byte().cpu().numpy())
    yield Snapshot(run.step, run.scene.splats())


def draw_cameras(run: Run) -> Cameras:
    """The step's cameras: of the recipe's range and, of those a prior knows, none twice before all were taken."""
    window, count = run.recipe.cameras, run.recipe.views
    if run.prior.cameras is None:
        return sample_cameras(window, count, run.generator)
    known = within(run.prior.cameras, window)
    rounds = -(-count // len(known))
    return known[torch.cat([torch.randperm(len(known), generator=run.generator) for _ in range(rounds)])[:count]]


def draw_backgrounds(run: Run) -> Tensor:
    """Colours (B,3) in [0,1]: middle grey for a prior that reads alpha and needs no other, else as the recipe says."""
    count = run.recipe.views
    if run.prior.channels == 4:
        return torch.full((count, 3), 0.5)
    return backgrounds_of(run.recipe.backgrounds, count, run.generator)


def backgrounds_of(shares: Backgrounds, count: int, generator: torch.Generator) -> Tensor:
    """Colours (count,3) in [0,1], each view's kind drawn by its share."""
    fixed = torch.tensor([[1.0], [0.0], [0.5]]).expand(3, 3)
    odds = torch.tensor([shares.white, shares.black, shares.middle, shares.grey, shares.colour], dtype=torch.float32)
    kind = torch.multinomial(odds, count, replacement=True, generator=generator)[:, None]
    colour = torch.rand(count, 3, generator=generator)
    grey = torch.rand(count, 1, generator=generator).expand(-1, 3)
    plain = fixed[kind[:, 0].clamp(max=2)]
    return torch.where(kind == 4, colour, torch.where(kind == 3, grey, plain))
