"""The interface of a scene: something with parameters that can be rendered from cameras."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from backend.cameras import Cameras
from backend.scenes.rendered import Render
from backend.scenes.splats import Splats

__all__ = ["Render", "Scene"]


class Scene(Protocol):
    """Parameters, their optimiser, and how they grow."""

    def render(self, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
        """Pictures with gradient; backgrounds (B,3)."""

    def regulariser(self, render: Render) -> Tensor:
        """The recipe's penalties on this render and the parameters, a scalar."""

    def step(self, step: int, render: Render, generator: Any) -> dict[str, float]:
        """After backward: one step of the optimiser, then growth and pruning; metrics to plot."""

    def finite(self) -> bool:
        """Whether all parameters and gradients are finite."""

    def drop_gradients(self) -> None:
        """In place of `step`: drop the gradients, so that the scene is as it was before the render."""

    def resumable(self) -> bool:
        """Whether the run can go on from this state; after an error within `step` it may not."""

    def splats(self) -> Splats:
        """The splats now, on the CPU."""

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, optimiser and growth statistics, flat."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave: the next step is the same to the last bit."""
