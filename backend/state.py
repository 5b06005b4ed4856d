"""Flat states: tensors by dotted names, as checkpoints hold them, and Adam's moments among these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def below(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """The entries whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def moments(adam: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """The moments that an Adam keeps for a parameter; none before its first step."""
    return dict(adam.state.get(parameter, {}))


def set_moments(adam: torch.optim.Optimizer, parameter: Tensor, kept: Mapping[str, Tensor]) -> None:
    """Give an Adam copies of the moments, if all are there; the step counter goes to the device that its kind needs."""
    if not all(key in kept for key in MOMENTS):
        return
    group = next(group for group in adam.param_groups if any(p is parameter for p in group["params"]))
    counter = parameter.device if group.get("fused") or group.get("capturable") else torch.device("cpu")
    adam.state[parameter] = {
        key: kept[key].to(counter if key == "step" else parameter.device, copy=True) for key in MOMENTS
    }
