"""How the number of splats changes during a run: gsplat's strategies, kept between a floor and a ceiling.

`default` is 3DGS's growth (Kerbl et al., 2308.04079): splats with large screen-space gradients are duplicated or split,
faint and huge ones are removed.  `mcmc` is 3DGS-MCMC (2404.09591): dead splats are relocated to live ones, and faint
ones get noise.  Added to gsplat 1.5.3 here: a ceiling for `default`, a floor for both, the opacity reset, which it
never reaches (`step % reset_every == 0 & step > 0` is always false), and two functions that it has for CUDA only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from gsplat.strategy import DefaultStrategy, MCMCStrategy, ops
from torch import Tensor
from torch.nn import Parameter

from backend.scenes.gsplat_twins import use_torch_twins
from backend.scenes.settings import SplatSettings

Params = dict[str, Parameter]
Optimisers = dict[str, torch.optim.Optimizer]
FLOOR = 16  # least number of splats: the most opaque ones are kept
NEVER = 2**62


class Growth(Protocol):
    """Changes the splats after a step of the optimiser.  Parameters have gsplat's names."""

    def watch(self, info: dict[str, Any]) -> None:
        """After rendering, before backward: retain the gradients that will be needed."""

    def limit(self, cap_max: int) -> None:
        """Have at most so many splats from now on."""

    def step(
        self, step: int, params: Params, optimisers: Optimisers, info: dict[str, Any], generator: torch.Generator
    ) -> dict[str, float]:
        """Replace entries of `params` (and their state in `optimisers`); metrics to plot."""

    def state_dict(self) -> dict[str, Tensor]:
        """Statistics since the last refinement, as flat tensors."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""


def growth(settings: SplatSettings, steps: int, device: torch.device) -> Growth:
    """The growth that the settings ask for, over a run of `steps`."""
    if device.type != "cuda":
        use_torch_twins()
    if settings.growth == "none":
        return NoGrowth()
    return DefaultGrowth(settings, steps) if settings.growth == "default" else McmcGrowth(settings, steps)


class NoGrowth:
    """Keeps the number of splats."""

    def watch(self, info: dict[str, Any]) -> None:
        """Nothing to watch."""

    def limit(self, cap_max: int) -> None:
        """Their number stays as it is."""

    def step(
        self, step: int, params: Params, optimisers: Optimisers, info: dict[str, Any], generator: torch.Generator
    ) -> dict[str, float]:
        """Nothing changes."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


@dataclass
class BoundedStrategy(DefaultStrategy):  # type: ignore[misc]
    """gsplat's default strategy, growing by at most `grow_fraction` at once, up to `cap_max`, and never below FLOOR."""

    cap_max: int = NEVER
    grow_fraction: float = 1.0
    metrics: dict[str, float] = field(default_factory=dict)

    def _update_state(self, params: Params, state: dict[str, Any], info: dict[str, Any], packed: bool = False) -> None:
        """Sum up the gradients of the splats that were seen; gsplat asks the card which ones, and waits each time."""
        gradients = info["means2d"].grad * (info["n_cameras"] / 2)
        norms = torch.stack([gradients[..., 0] * info["width"], gradients[..., 1] * info["height"]], -1).norm(dim=-1)
        seen = (info["radii"] > 0).all(-1)
        for name, values in (("grad2d", norms), ("count", torch.ones_like(norms))):
            total = state[name] if state[name] is not None else norms.new_zeros(norms.shape[1])
            state[name] = total + torch.where(seen, values, 0.0).sum(0)

    @torch.no_grad()
    def _grow_gs(self, params: Params, optimizers: Optimisers, state: dict[str, Any], step: int) -> tuple[int, int]:
        """Every growing splat adds one, so raising the threshold is enough for the ceiling."""
        count = len(params["means"])
        gradients = state["grad2d"] / state["count"].clamp_min(1)
        room = max(0, min(self.cap_max - count, int(self.grow_fraction * count)))
        limited = copy(self)
        if room < count:
            limited.grow_grad2d = max(self.grow_grad2d, float(gradients.topk(room + 1).values[-1]))
        doubled, split = DefaultStrategy._grow_gs(limited, params, optimizers, state, step)
        self.metrics = {
            "gradient_median": float(gradients.median()),
            "gradient_threshold": limited.grow_grad2d,
            "grown": doubled + split,
        }
        return doubled, split

    @torch.no_grad()
    def _prune_gs(self, params: Params, optimizers: Optimisers, state: dict[str, Any], step: int) -> int:
        """Also remove huge splats, for which gsplat waits until its first opacity reset."""
        opacities = params["opacities"].flatten()
        doomed = opacities.sigmoid() < self.prune_opa
        doomed |= params["scales"].max(-1).values.exp() > self.prune_scale3d
        missing = min(FLOOR, len(doomed)) - int((~doomed).sum())
        if missing > 0:
            doomed[opacities.masked_fill(~doomed, -torch.inf).topk(missing).indices] = False
        removed = int(doomed.sum())
        if removed:
            ops.remove(params, optimizers, state, doomed)
        self.metrics["pruned"] = removed
        return removed


class DefaultGrowth:
    """Doubles, splits and prunes between refine_start and refine_stop, and resets opacities there."""

    def __init__(self, settings: SplatSettings, steps: int) -> None:
        self.settings = settings
        self.strategy = BoundedStrategy(
            prune_opa=settings.prune_opacity,
            grow_grad2d=settings.grow_grad2d,
            grow_scale3d=settings.split_scale,
            prune_scale3d=settings.prune_scale,
            refine_start_iter=round(settings.refine_start * steps),
            refine_stop_iter=round(settings.refine_stop * steps),
            refine_every=settings.refine_every,
            reset_every=NEVER,
            cap_max=settings.cap_max,
            grow_fraction=settings.grow_fraction,
        )
        self.state = self.strategy.initialize_state(scene_scale=1.0)

    def watch(self, info: dict[str, Any]) -> None:
        """The gradients of the splats' screen positions decide which ones grow."""
        if info["means2d"].requires_grad:
            info["means2d"].retain_grad()

    def limit(self, cap_max: int) -> None:
        """Have at most so many splats from now on."""
        self.strategy.cap_max = cap_max

    def step(
        self, step: int, params: Params, optimisers: Optimisers, info: dict[str, Any], generator: torch.Generator
    ) -> dict[str, float]:
        """Gather gradients; every so often grow, prune, reset."""
        self.strategy.metrics = {}
        with _seeded(generator, params["means"].device):
            self.strategy.step_post_backward(params, optimisers, self.state, step, info)
        every = self.settings.reset_every
        if every and 0 < step < self.strategy.refine_stop_iter and step % every == 0:
            # Twice the pruning limit, as in 3DGS: splats that are not needed fade below it, others recover.
            ops.reset_opa(params, optimisers, self.state, value=2 * self.settings.prune_opacity)
            self.strategy.metrics["opacity_reset"] = 1.0
        return self.strategy.metrics

    def state_dict(self) -> dict[str, Tensor]:
        """Sums of gradients and how often each splat was seen."""
        return {key: value for key, value in self.state.items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Sums that are not in `state` start again from zero."""
        self.state.update({key: state[key].clone() if key in state else None for key in ("grad2d", "count")})


class McmcGrowth:
    """Relocates dead splats to live ones, adds 5 % at each refinement up to cap_max, and adds noise to faint ones."""

    def __init__(self, settings: SplatSettings, steps: int) -> None:
        self.strategy = MCMCStrategy(
            cap_max=settings.cap_max,
            noise_lr=settings.mcmc_noise,
            refine_start_iter=round(settings.refine_start * steps),
            refine_stop_iter=round(settings.refine_stop * steps),
            refine_every=settings.refine_every,
            min_opacity=settings.prune_opacity,
        )
        self.state = self.strategy.initialize_state()

    def watch(self, info: dict[str, Any]) -> None:
        """Needs no gradients of its own."""

    def limit(self, cap_max: int) -> None:
        """Have at most so many splats from now on."""
        self.strategy.cap_max = cap_max

    def step(
        self, step: int, params: Params, optimisers: Optimisers, info: dict[str, Any], generator: torch.Generator
    ) -> dict[str, float]:
        """The noise is proportional to the positions' learning rate."""
        _keep_strongest(params["opacities"], self.strategy.min_opacity)
        rate = optimisers["means"].param_groups[0]["lr"]
        with _seeded(generator, params["means"].device):
            self.strategy.step_post_backward(params, optimisers, self.state, step, info, lr=rate)
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """No statistics."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


@torch.no_grad()
def _keep_strongest(opacity_logits: Parameter, least: float) -> None:
    """If all splats are dead, none can be relocated: make the most opaque few live again."""
    strongest = opacity_logits.topk(min(FLOOR, len(opacity_logits)))
    alive = torch.logit(torch.tensor(least, device=opacity_logits.device)) + 0.1
    opacity_logits[strongest.indices] = strongest.values.clamp(min=alive)


@contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """gsplat uses the global generator: seed it from the run's own, so that a run can be resumed exactly."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
