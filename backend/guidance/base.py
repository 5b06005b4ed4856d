"""The base of every rule: the batch it is given, the settings that all have, and the score it returns.

A rule is a class with `Options` and `gradient`.  `gradient` follows its equation: draw noise, add it to the batch, call
the prior, and score the difference that defines the rule.  The result is the gradient with respect to x without the
Jacobian of the U-Net, as x has no gradient.  A rule that trains something takes gradients of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.guide import Conditions, guided, noise_like, noised
from backend.priors.base import Prior, alpha_sigma

Weight = Literal["one", "sigma^2", "alpha/sigma", "sigma/alpha"]
Guidance = Annotated[float, Meta(ge=0, le=1000, description="How strongly the prompt pulls")]
Weighing = Annotated[Weight, Meta(description="How much each noise level counts")]
Level = Annotated[int, Meta(ge=0, le=1000)]  # of 1000, whatever the length of the prior's schedule


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a rule.  Each field's `msgspec.Meta` holds its limits and the line the panel shows."""


Settings = TypeVar("Settings", bound=Options)


@dataclass(frozen=True)
class Score:
    """gradient (B,C,h,w) with respect to x, metrics to plot, and the two terms that the toy compares."""

    gradient: Tensor
    metrics: Mapping[str, float | Tensor] = field(default_factory=dict)  # scalars; `numbers` fetches those of a card
    estimate: Tensor | None = None  # (B,C,h,w) the guided noise estimate
    control: Tensor | None = None  # (B,C,h,w) what the rule subtracts from it


@dataclass(frozen=True)
class Batch:
    """Encoded views of a scene, and the noise level for the rule."""

    prior: Prior
    x: Tensor  # (B,C,h,w), clean and without gradient
    t: Tensor  # (B,), the same level for all views
    conditions: Conditions
    progress: float  # 0..1 through the run
    generator: torch.Generator

    @property
    def scales(self) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t, each (B,1,1,1)."""
        return alpha_sigma(self.prior, self.t)

    @property
    def total(self) -> int:
        """The number of the prior's levels."""
        return len(self.prior.alphas_cumprod)

    def at(self, t: Tensor) -> Batch:
        """The same views at levels t (B,); these may differ, unless the rule needs a single level."""
        return replace(self, t=t)

    def above(self, level: int) -> Tensor:
        """Whether t is above this level of 1000, (B,1,1,1); in integers, as division on a GPU is inexact."""
        return self.t.view(-1, 1, 1, 1) * 1000 > level * self.total

    def below(self, level: int) -> Tensor:
        """Whether t is below this level of 1000, (B,1,1,1)."""
        return self.t.view(-1, 1, 1, 1) * 1000 < level * self.total

    def noise(self) -> Tensor:
        """Fresh noise (B,C,h,w)."""
        return noise_like(self.x, self.generator)

    def draw(self) -> float:
        """A number between 0 and 1, from the run's seed."""
        return torch.rand((), generator=self.generator, device=self.generator.device).item()

    def noised(self, eps: Tensor) -> Tensor:
        """x_t = alpha_t x + sigma_t eps, (B,C,h,w)."""
        return noised(self.prior, self.x, self.t, eps)

    def guided(self, x_t: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """(eps_hat, eps_y) of x_t (B,C,h,w), in one forward."""
        return guided(self.prior, x_t, self.t, self.conditions, scale)

    def score(self, w: Weight, difference: Tensor, eps_hat: Tensor, control: Tensor, **more: float | Tensor) -> Score:
        """w(t) times the difference (B,C,h,w), with the curves of `scored`."""
        return scored(weight(w, *self.scales) * difference, eps_hat, control, **more)


class Objective(Protocol):
    """The interface of a rule for the loop."""

    def gradient(self, batch: Batch) -> Score:
        """The gradient of each view (B,C,h,w) with respect to x, which the loop averages."""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, as flat tensors."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""


class Rule(ABC, Generic[Settings]):
    """An objective without state; rules that keep some override both `state_dict` methods."""

    Options: ClassVar[type[msgspec.Struct]]
    # Whether several scenes in one run mean something to the rule: what it learns, it learns on all of them, or its
    # paper compares what comes of one start.  Otherwise they would be nothing but several seeds.
    particles: ClassVar[bool] = False

    def __init__(self, options: Settings) -> None:
        self.options = options

    @abstractmethod
    def gradient(self, batch: Batch) -> Score:
        """See `Objective`."""

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


def weight(name: Weight, alpha: Tensor, sigma: Tensor) -> Tensor:
    """w(t) by its name."""
    return {
        "one": torch.ones_like(alpha),
        "sigma^2": sigma**2,
        "alpha/sigma": alpha / sigma,
        "sigma/alpha": sigma / alpha,
    }[name]


def between(start: float, end: float, progress: float) -> float:
    """Linear from start to end as progress goes from 0 to 1, constant beyond."""
    return start + (end - start) * min(progress, 1.0)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of all entries of a and b, both of one shape: a scalar."""
    a, b = (value.flatten().float() - value.float().mean() for value in (a, b))
    return torch.nn.functional.cosine_similarity(a, b, dim=0)


def scored(gradient: Tensor, eps_hat: Tensor, control: Tensor, **more: float | Tensor) -> Score:
    """The gradient with the two metrics that every rule has, and `more`.

    "gradient_norm" is the mean over views; "corr" says how well the control variate, which the rule subtracts,
    follows the guided estimate eps_hat: the higher, the less noise is left in the gradient.
    """
    norm = gradient.flatten(1).norm(dim=1).mean()
    metrics = {"gradient_norm": norm, "corr": correlation(eps_hat, control), **more}
    return Score(gradient, metrics, eps_hat, control)
