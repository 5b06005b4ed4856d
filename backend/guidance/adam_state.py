"""An Adam's moments as flat tensors, "adam.<i>.<key>", so that what learns beside a run goes on to the last bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.state import below, moments, set_moments

PREFIX = "adam."


def saved(adam: torch.optim.Adam) -> dict[str, Tensor]:
    """Copies; nothing before the first step."""
    return {
        f"{PREFIX}{index}.{key}": value.clone()
        for index, parameter in enumerate(_parameters(adam))
        for key, value in moments(adam, parameter).items()
    }


def restore(adam: torch.optim.Adam, state: Mapping[str, Tensor]) -> None:
    """Take up what `saved` gave, from among other tensors of a state."""
    for index, parameter in enumerate(_parameters(adam)):
        set_moments(adam, parameter, below(state, f"{PREFIX}{index}."))


def step(adam: torch.optim.Adam) -> None:
    """One step, but for gradients that are no numbers: from the moments these would never go away."""
    gradients = [p.grad for p in _parameters(adam) if p.grad is not None]
    if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
        adam.step()


def _parameters(adam: torch.optim.Adam) -> list[Tensor]:
    return [parameter for group in adam.param_groups for parameter in group["params"]]
