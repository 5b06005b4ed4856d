"""What a rule trains beside the run: tensors, their Adam, the noise levels of training, and exact resuming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance import adam_state
from backend.guidance.base import Batch, Guidance, Options, Rule, Settings, Weighing
from backend.priors.base import Twin
from backend.tensors import onto

PREFIX = "learned."


class LearnedOptions(Options, frozen=True):
    """Settings that these rules share, and those of training."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma^2"
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="Adam's rate for what is learned")] = 1e-4
    learn_low: Annotated[float, Meta(ge=0, le=1, description="Lowest noise level it learns at, of the schedule")] = 0.0
    learn_high: Annotated[float, Meta(ge=0, le=1, description="Highest noise level it learns at")] = 1.0

    def __post_init__(self) -> None:
        if self.learn_low > self.learn_high:
            raise ValueError("learn_low must not be above learn_high")


class Learned:
    """Trained tensors by name, and the Adam that updates them in place."""

    def __init__(self, parameters: Mapping[str, Tensor], learning_rate: float) -> None:
        self.parameters = dict(parameters)
        self.adam = torch.optim.Adam(self.parameters.values(), lr=learning_rate, fused=True)

    def step(self, twin: Twin, loss: Tensor) -> Tensor:
        """One step of Adam on a loss computed from one `twin.predict`; returns the loss before the step."""
        parameters = list(self.parameters.values())
        for parameter, gradient in zip(parameters, twin.gradients(loss, parameters), strict=True):
            parameter.grad = gradient
        adam_state.step(self.adam)
        self.adam.zero_grad()
        return loss.detach()

    def saved(self) -> dict[str, Tensor]:
        """Copies of the tensors ("learned.<name>") and of Adam's moments ("adam.<i>.<key>")."""
        state = {f"{PREFIX}{name}": value.detach().clone() for name, value in self.parameters.items()}
        return state | adam_state.saved(self.adam)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `saved` gave."""
        for name, value in self.parameters.items():
            value.copy_(state[PREFIX + name])
        adam_state.restore(self.adam, state)


class LearningRule(Rule[Settings]):
    """A rule that trains something: `learned` is made, or restored, at the first step, when the prior is known."""

    def __init__(self, options: Settings) -> None:
        super().__init__(options)
        self.learned: Learned | None = None
        self._saved: dict[str, Tensor] = {}

    def _begin(self, parameters: Mapping[str, Tensor], learning_rate: float) -> Learned:
        """Train these tensors from here on, starting from the values that `load_state_dict` was given, if any."""
        self.learned = Learned(parameters, learning_rate)
        if self._saved:
            self.learned.load(self._saved)
        return self.learned

    def state_dict(self) -> dict[str, Tensor]:
        """The trained tensors and their Adam; nothing before the first step."""
        return dict(self._saved) if self.learned is None else self.learned.saved()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, at the next step."""
        self.learned, self._saved = None, dict(state)


def training_batch(batch: Batch, options: LearnedOptions) -> tuple[Tensor, Tensor, Tensor]:
    """The batch at random levels, one per view, with fresh noise: x_t (B,C,h,w), t (B,), eps."""
    low = min(int(options.learn_low * batch.total), batch.total - 1)
    high = max(int(options.learn_high * batch.total), low + 1)
    generator = batch.generator
    t = onto(torch.randint(low, high, (len(batch.x),), generator=generator, device=generator.device), batch.x.device)
    eps = batch.noise()
    return batch.at(t).noised(eps), t, eps
