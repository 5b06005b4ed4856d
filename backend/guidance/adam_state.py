"""An Adam's moments as flat tensors, "adam.<i>.<key>", so that training beside a run resumes exactly."""

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
    """Restore what `saved` gave, from a state that may have other tensors too."""
    for index, parameter in enumerate(_parameters(adam)):
        set_moments(adam, parameter, below(state, f"{PREFIX}{index}."))


def step(adam: torch.optim.Adam) -> None:
    """One step, skipped if a gradient is NaN or infinite, which the moments would keep forever."""
    gradients = [p.grad for p in _parameters(adam) if p.grad is not None]
    if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
        adam.step()


def _parameters(adam: torch.optim.Adam) -> list[Tensor]:
    return [parameter for group in adam.param_groups for parameter in group["params"]]
