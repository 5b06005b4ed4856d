"""An Adam's moments as flat tensors, "adam.<i>.<key>", so that what learns beside a run goes on to the last bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

PREFIX = "adam."


def saved(adam: torch.optim.Adam) -> dict[str, Tensor]:
    """Copies; nothing before the first step."""
    moments = adam.state_dict()["state"]
    return {f"{PREFIX}{index}.{key}": value.clone() for index, kept in moments.items() for key, value in kept.items()}


def restore(adam: torch.optim.Adam, state: Mapping[str, Tensor]) -> None:
    """Take up what `saved` gave, from among other tensors of a state."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith(PREFIX):
            index, key = name.removeprefix(PREFIX).split(".")
            moments.setdefault(int(index), {})[key] = value.clone()
    adam.load_state_dict({**adam.state_dict(), "state": moments})


def step(adam: torch.optim.Adam) -> None:
    """One step, but for gradients that are no numbers: from the moments these would never go away."""
    gradients = [p.grad for group in adam.param_groups for p in group["params"] if p.grad is not None]
    if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
        adam.step()
