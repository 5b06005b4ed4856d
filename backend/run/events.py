"""The events of a run.  The loop yields them; its caller prints, stores or sends them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.scenes.splats import Splats


@dataclass(frozen=True)
class Step:
    """Which step of how many was taken, the estimated seconds left, and the metrics of the step."""

    step: int
    of: int
    seconds_left: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepDone(Step):
    """After each step of the run."""


@dataclass(frozen=True)
class DraftStep(Step):
    """After each step of the draft that a run starts from; the steps of the run itself follow."""


@dataclass(frozen=True)
class MeshStep(Step):
    """After each step that refines the finished mesh; the steps of the run itself came before."""


@dataclass(frozen=True)
class Preview:
    """A picture (H,W,3) uint8 of the object at this step."""

    step: int
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Snapshot:
    """The splats at this step, on the CPU."""

    step: int
    splats: Splats


@dataclass(frozen=True)
class Warning:
    """Something the user should know; the run goes on."""

    text: str


@dataclass(frozen=True)
class ResultReady:
    """One of the results is ready; the caller may stop before the next."""

    what: str


Event = StepDone | DraftStep | MeshStep | Preview | Snapshot | Warning | ResultReady
