"""What scenes with one Adam for all their parameters have in common, whatever they draw."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from backend.errors import UserError
from backend.state import below, moments, set_moments
from backend.tensors import all_finite


class CheckpointError(UserError):
    """A saved state that cannot be restored: one sentence that says why."""


class AdamScene:
    """Named parameters, their Adam, and how many steps it has taken.  `kind` begins their names in a checkpoint."""

    def __init__(self, kind: str, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        self.kind, self.device, self.taken = kind, device, 0
        self._adopt(tensors)

    def _adopt(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the tensors parameters, with a new optimiser; each step sets its learning rates."""
        self.params = {name: Parameter(v.detach().float().to(self.device, copy=True)) for name, v in tensors.items()}
        groups = [{"params": [p], "lr": 0.0, "name": name} for name, p in self.params.items()]
        self.optimiser = torch.optim.Adam(groups, eps=1e-15, fused=True)

    def finite(self) -> bool:
        """Whether all parameters and gradients are finite."""
        return all_finite(self.params.values())

    def drop_gradients(self) -> None:
        """Drop the gradients; the parameters are unchanged."""
        self.optimiser.zero_grad(set_to_none=True)

    def resumable(self) -> bool:
        """Whether parameters and moments are finite."""
        return all(bool(torch.isfinite(value).all()) for value in self.state_dict().values())

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, Adam's moments and the number of steps taken: flat, contiguous, on the CPU."""
        state: dict[str, Tensor] = {f"{self.kind}.{name}": p for name, p in self.params.items()}
        for name, parameter in self.params.items():
            kept = moments(self.optimiser, parameter)
            state.update({f"adam.{name}.{key}": value for key, value in kept.items()})
        state["taken"] = torch.tensor(self.taken)
        return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave: the next step is the same to the last bit.

        Raises CheckpointError where something is missing, has another shape or is not finite; nothing is changed then.
        """
        tensors = {name: self._checked(name, state) for name in self.params}
        self._adopt(tensors)
        for name, parameter in self.params.items():
            set_moments(self.optimiser, parameter, below(state, f"adam.{name}."))
        self.taken = int(state["taken"])

    def _checked(self, name: str, state: dict[str, Tensor]) -> Tensor:
        own = f"{self.kind}.{name}"
        for key in (own, "taken"):
            if key not in state:
                raise CheckpointError(f"The checkpoint lacks {key}: it was not made by a run with these settings.")
        for key in (own, f"adam.{name}.exp_avg", f"adam.{name}.exp_avg_sq"):
            if key in state and state[key].shape != self.params[name].shape:
                shapes = f"{tuple(state[key].shape)}, not {tuple(self.params[name].shape)}"
                raise CheckpointError(f"The checkpoint's {key} is {shapes}.")
            if key in state and not torch.isfinite(state[key]).all():
                raise CheckpointError(f"The checkpoint's {key} has NaN or infinite values; use an earlier one.")
        return state[own]
