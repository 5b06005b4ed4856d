"""Distillation of points: every objective, from each start, with many seeds at once.

A trajectory is one point, moved by Adam at 0.03 along a rule's gradient.  Trajectories are the rows of a batch and
independent except for two things.  All rows of a call share one noise level, as the views of a step do (JSD's inversion
needs that); so the seeds are split into `GROUPS` calls with their own levels.  And what a rule trains beside the run
(VDM's mapping) is trained on all rows of its group.

Two tasks: "free", without a condition, where all eight modes are right (guidance then cancels: eps_y is eps_away), and
"class", where the target of seed i is mode i mod 8 with classifier-free guidance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from backend.errors import UserError
from backend.guidance.base import Batch, Objective
from backend.guidance.guide import Conditions
from backend.guidance.rules import RULES
from backend.guidance.rules.jsd import RELEASED
from backend.job.timesteps import Timesteps, sample_t
from backend.priors.base import Prior
from backend.run.assemble import make_objective
from backend.studies.toy.modes import COUNT

STARTS = ((-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0))
SEEDS = (10, 100, 200, 500, 1000)
PAPER_STEPS, LEARNING_RATE, GUIDANCE = 10, 0.03, 13.5
GROUPS = 5
UNIFORM = Timesteps()
ANNEALED = Timesteps(low_start=0.98, high_start=0.98, low_end=0.02, high_end=0.02)


@dataclass(frozen=True)
class Variant:
    """An objective with some of its options."""

    name: str
    objective: str
    options: dict[str, Any]

    def make(self) -> Objective:
        """A new instance."""
        return make_objective(self.objective, self.options)


@dataclass(frozen=True)
class Task:
    """Number, length, noise levels and condition of the trajectories."""

    seeds: int
    steps: int
    window: Timesteps = UNIFORM
    classes: bool = False


@dataclass(frozen=True)
class Walk:
    """The trajectories of one task: S starts, N seeds."""

    path: Tensor  # (steps+1,S,N,2)
    estimate: Tensor | None  # (steps,S,N,2) the guided noise estimate
    control: Tensor | None  # (steps,S,N,2) what was subtracted from it
    objective: Objective  # the first group's, with what it has learned


def variants(names: tuple[str, ...], corrective: str = "") -> list[Variant]:
    """The named objectives at their defaults with one guidance scale for all; JSD also with its released settings.

    `corrective` is the file that LMC-SDS takes.
    """
    own = {"lmc": {"corrective": corrective}}
    found = [Variant(name, name, _same_guidance(RULES[name].Options) | own.get(name, {})) for name in names]
    if "jsd" in names:
        found.insert(names.index("jsd") + 1, Variant("jsd-released", "jsd", msgspec.to_builtins(RELEASED)))
    return found


def _same_guidance(options: type[msgspec.Struct]) -> dict[str, Any]:
    scales = ("guidance_scale", "guidance_scale_end")  # Consistent3D's changes over the run elsewhere
    return dict.fromkeys([name for name in scales if name in options.__struct_fields__], GUIDANCE)


def obstacle(variant: Variant, prior: Prior) -> str | None:
    """The error with which a rule refuses to take a step on points; None if it takes one.

    Third-party rules may need real pictures.  Any other error is a fault and is not caught.
    """
    x, generator = torch.randn(COUNT, 2, 1, 1, generator=torch.Generator().manual_seed(0)), torch.Generator()
    t = torch.full((COUNT,), 500)
    try:
        variant.make().gradient(Batch(prior, x, t, conditions(prior, torch.arange(COUNT)), 0.5, generator))
    except (UserError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def conditions(prior: Prior, mode: Tensor | None, count: int = 0) -> Conditions:
    """Conditions for a mode per row (B,), or for `count` rows without one."""
    count = count if mode is None else len(mode)
    null = prior.condition([""] * count)
    return Conditions(null if mode is None else prior.condition([str(int(m)) for m in mode]), null)


def walk(variant: Variant, prior: Prior, task: Task, seed: int = 0) -> Walk:
    """Trajectories of one rule from all starts; seed i is in group i mod `GROUPS`."""
    groups = min(GROUPS, task.seeds)
    parts = []
    for group in range(groups):
        generator = torch.Generator().manual_seed(seed * groups + group)
        parts.append(_walk_group(variant.make(), prior, task, torch.arange(group, task.seeds, groups), generator))
    order = torch.cat([torch.arange(group, task.seeds, groups) for group in range(groups)]).argsort()
    path = torch.cat([part.path for part in parts], 2)[:, :, order]
    estimate, control = (
        _cat_groups([getattr(part, name) for part in parts], order) for name in ("estimate", "control")
    )
    return Walk(path, estimate, control, parts[0].objective)


def _cat_groups(parts: list[Tensor | None], order: Tensor) -> Tensor | None:
    """Concatenate groups along the seeds, in the seeds' order."""
    known = [part for part in parts if part is not None]
    return torch.cat(known, 2)[:, :, order] if len(known) == len(parts) else None


def _walk_group(objective: Objective, prior: Prior, task: Task, seeds: Tensor, generator: torch.Generator) -> Walk:
    """The loop: level, gradient, Adam."""
    many, count = len(seeds), len(STARTS) * len(seeds)
    x = torch.tensor(STARTS).repeat_interleave(many, 0)[:, :, None, None].requires_grad_()
    target = (seeds % COUNT).repeat(len(STARTS)) if task.classes else None
    condition, adam = conditions(prior, target, count), torch.optim.Adam([x], LEARNING_RATE)
    path, estimates, controls = [x.detach().clone()], [], []
    for step in range(task.steps):
        progress = step / task.steps
        t = sample_t(task.window, progress, len(prior.alphas_cumprod), count, generator)
        score = objective.gradient(Batch(prior, x.detach(), t, condition, progress, generator))
        x.grad = score.gradient.detach()
        adam.step()
        path.append(x.detach().clone())
        if score.estimate is not None and score.control is not None:
            estimates.append(score.estimate.detach())
            controls.append(score.control.detach())
    estimate, control = (_stacked(kept) if kept else None for kept in (estimates, controls))
    return Walk(_stacked(path), estimate, control, objective)


def _stacked(rows: list[Tensor]) -> Tensor:
    """Steps of (S*N,2,1,1) -> (steps,S,N,2)."""
    return torch.stack(rows).view(len(rows), len(STARTS), -1, 2)
