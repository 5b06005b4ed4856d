"""A recipe: all settings of a run except prompt, prior and objective, as frozen structs that are JSON on disk."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from backend.cameras import CameraRange
from backend.job.timesteps import Timesteps
from backend.priors.settings import CatalogueSettings
from backend.scenes.settings import FieldSettings, MeshSettings, SplatSettings

MOST_STEPS = 100_000
MOST_SPLATS = 10_000_000


class Backgrounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a view gets each kind of background (relative shares)."""

    white: Annotated[float, Meta(ge=0)] = 1.0
    black: Annotated[float, Meta(ge=0)] = 0.0
    middle: Annotated[float, Meta(ge=0)] = 0.0  # middle grey
    grey: Annotated[float, Meta(ge=0)] = 0.0  # any grey
    colour: Annotated[float, Meta(ge=0)] = 0.0  # any colour

    def __post_init__(self) -> None:
        if self.white + self.black + self.middle + self.grey + self.colour == 0:
            raise ValueError("At least one kind of background needs a share above 0")


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From this share of the run on, pictures are rendered with this side in pixels.

    With noise levels of its own it is a refinement: what went before is complete by then, the recipe's window of levels
    ends where it begins, and its own lasts until the next refinement or the end.
    """

    start: Annotated[float, Meta(ge=0, le=1)] = 0.0
    side: Annotated[int, Meta(ge=16, le=1024)] = 64
    timesteps: Timesteps | None = None
    splats_max: Annotated[int, Meta(ge=16, le=MOST_SPLATS)] | None = None  # from here on, in place of splats.cap_max


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a run except prompt, prior and objective."""

    steps: Annotated[int, Meta(ge=1, le=MOST_STEPS)] = 600
    views: Annotated[int, Meta(ge=1, le=64)] = 4  # per step
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)] = (Stage(),)
    cameras: CameraRange = CameraRange()
    backgrounds: Backgrounds = Backgrounds()
    timesteps: Timesteps = Timesteps()
    view_prompts: bool = True
    perp_neg: bool = False
    guidance_rescale: Annotated[float, Meta(ge=0, le=1)] = 0.0  # how much of guidance's added contrast is taken back
    options: dict[str, Any] = {}  # of the objective; missing ones take its defaults
    splats: SplatSettings = SplatSettings()  # of a scene of splats
    field: FieldSettings = FieldSettings()  # of a radiance field
    mesh: MeshSettings = MeshSettings()  # of the finished mesh
    catalogue: CatalogueSettings = CatalogueSettings()
    # Seeds the initial splats in place of the job's seed: runs of several seeds then differ only in their noise.
    start_seed: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    checkpoint_every: Annotated[int, Meta(ge=1)] = 100

    def side(self, progress: float) -> int:
        """Side in pixels of the pictures at this share of the run."""
        return max((stage for stage in self.stages if stage.start <= progress), key=lambda stage: stage.start).side

    def levels(self, progress: float) -> tuple[Timesteps, float]:
        """The window of noise levels at this share of the run, and which share of that window's time has passed."""
        window, begin, end = self.timesteps, 0.0, 1.0
        for stage in self._refinements():
            if stage.start > progress:
                end = stage.start
                break
            window, begin = stage.timesteps or window, stage.start
        return window, (progress - begin) / (end - begin) if end > begin else 1.0

    def splats_max(self, progress: float) -> int:
        """Splats at most at this share of the run."""
        begun = [stage for stage in self.stages if stage.start <= progress and stage.splats_max is not None]
        latest = max(begun, key=lambda stage: stage.start, default=None)
        return self.splats.cap_max if latest is None else latest.splats_max or self.splats.cap_max

    def part(self, progress: float) -> tuple[int, int]:
        """Which part of the run this is, counted from 1, and of how many: each refinement is one."""
        refinements = self._refinements()
        return 1 + sum(stage.start <= progress for stage in refinements), 1 + len(refinements)

    def _refinements(self) -> list[Stage]:
        return sorted((stage for stage in self.stages if stage.timesteps), key=lambda stage: stage.start)
