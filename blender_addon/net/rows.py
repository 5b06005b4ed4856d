"""What the add-on knows of one job, and of its results on their way; no bpy."""

from __future__ import annotations

from dataclasses import dataclass

from ..shared.messages import ENDED, JobState, Mesh, Splats


@dataclass
class Row:
    """A job as the list shows it."""

    state: JobState
    seconds_left: float = 0.0
    confirmed: bool = True  # the backend has confirmed it
    stage: str = "run"  # "draft" before the job's own steps, "mesh" after them
    stage_step: int = 0
    stage_of: int = 0
    part: int = 0  # of a run in several stages: which of them

    @property
    def reached(self) -> tuple[int, int]:
        """The step that was reached and how many there are, of the draft or the mesh while there is one."""
        return (self.state.step, self.state.of) if self.stage == "run" else (self.stage_step, self.stage_of)

    @property
    def share(self) -> float:
        """How much of these is done, from 0 to 1."""
        step, of = self.reached
        return min(step / max(of, 1), 1)

    @property
    def taking_steps(self) -> bool:
        """Whether it is known how much is left: steps are taken, those of the job or of the mesh."""
        working = self.state.state == "running" or (self.state.state == "finishing" and self.stage == "mesh")
        return working and bool(self.reached[1])

    @property
    def ended(self) -> bool:
        """Whether the job is neither waiting nor running."""
        return self.state.state in ENDED


@dataclass
class Delivery:
    """The results of a job that were requested, as far as they have arrived."""

    expects_mesh: bool
    splats: Splats | None = None
    mesh: Mesh | None = None
    closed: bool = False  # the backend said that nothing more will come

    @property
    def complete(self) -> bool:
        """Whether everything that is expected has arrived."""
        return self.splats is not None and (self.closed or self.mesh is not None or not self.expects_mesh)
