"""A radiance field as the scene: density and colour on grids of several levels, drawn along rays.

On the CPU dense grids are faster than a hash grid: a step reads each sample's 32 numbers from eight places near each
other, and 64³ corners, all that 64 to 128 pixels can tell apart, are 4 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend.cameras import Cameras
from backend.scenes import regularise
from backend.scenes.adam_scene import AdamScene
from backend.scenes.field_cpu import march_on_cpu, sampled_on_cpu
from backend.scenes.field_grid import split_into_levels, summed
from backend.scenes.field_march import march
from backend.scenes.field_penalties import facing_away, grid_variation
from backend.scenes.field_rays import pixel_rays, proposal, sampled
from backend.scenes.field_splats import as_splats
from backend.scenes.rendered import Render
from backend.scenes.settings import FieldSettings
from backend.scenes.splats import Splats
from backend.tensors import onto

PARTS = {"density": slice(0, 1), "colour": slice(1, 4)}


class FieldScene(AdamScene):
    """An optimised radiance field; a Scene.

    `start` (4,R,R,R) is the field at the finest level's corners.  The schedules are for a run of `steps`: a run that is
    continued beyond keeps its final learning rates.
    """

    def __init__(self, start: Tensor, settings: FieldSettings, steps: int, device: torch.device | str = "cpu") -> None:
        self.settings, self.steps = settings, steps
        levels = split_into_levels(start, settings.levels)
        tensors = {f"{part}{i}": level[rows] for i, level in enumerate(levels) for part, rows in PARTS.items()}
        super().__init__("field", tensors, torch.device(device))

    @property
    def grid(self) -> Tensor:
        """The field (4,R,R,R) at the finest level's corners, with gradient."""
        count = len(self.settings.levels)
        return torch.cat([summed([self.params[f"{part}{i}"] for i in range(count)]) for part in PARTS])

    def render(self, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
        """Pictures with gradient; backgrounds (B,3)."""
        s, rays = self.settings, pixel_rays(cameras, width, height, self.device)
        grid, jitter = self.grid, onto(self._jitter(len(rays)), self.device)
        coarse = proposal(grid[0].detach(), s.empty_below)
        on_cpu = self.device.type == "cpu"
        samples = (sampled_on_cpu if on_cpu else sampled)(rays, coarse, s.samples, s.explore, jitter)
        pixels = (march_on_cpu if on_cpu else march)(grid, rays, samples).view(len(cameras), height, width, -1)
        rgb, alpha, depth, distortion = torch.split(pixels, [3, 1, 1, 1], -1)  # type: ignore[no-untyped-call]
        behind = onto(backgrounds, self.device)[:, None, None]
        info = {"distortion": distortion, "rays": rays, "samples": samples, "grid": grid}
        return Render(rgb + (1 - alpha) * behind, alpha, depth, info)

    def _jitter(self, count: int) -> Tensor:
        """Where in each part of a ray its sample is; without gradient in the middle, so that pictures have no noise."""
        if not torch.is_grad_enabled():
            return torch.full((count,), 0.5)
        return torch.rand(count, generator=torch.Generator().manual_seed(self.taken))

    def regulariser(self, render: Render) -> Tensor:
        """The weighted penalties of the settings; those of weight 0 are not computed."""
        s, info = self.settings, render.info
        terms: tuple[tuple[float, Callable[[], Tensor]], ...] = (
            (s.sparse_weight, lambda: regularise.sparsity(render.alpha)),
            (s.opaque_weight, lambda: regularise.opaqueness(render.alpha)),
            (s.distortion_weight, info["distortion"].mean),
            (s.orientation_weight, lambda: facing_away(info["grid"], info["rays"], info["samples"])),
            (s.tv_weight, lambda: grid_variation(info["grid"])),
        )
        return sum((weight * term() for weight, term in terms if weight), torch.zeros((), device=self.device))

    def step(self, step: int, render: Render, generator: Any) -> dict[str, float]:
        """After backward: one step of Adam."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(group["name"], step)
            if group["lr"] == 0:
                group["params"][0].grad = None
        self.optimiser.step()
        self.drop_gradients()
        self.taken += 1
        return {}

    def rate(self, name: str, step: int) -> float:
        """Learning rate of a parameter: exponential from its start to its end; 0 for the finest level at first."""
        s, done = self.settings, min(1.0, step / self.steps)
        last = len(s.levels) - 1
        if last and name.endswith(str(last)) and done < s.finest_from:
            return 0.0
        start = s.lr_density if name.startswith("density") else s.lr_colour
        return float(start * s.lr_end_factor**done)

    def splats(self) -> Splats:
        """The field as splats that look like it, on the CPU."""
        with torch.no_grad():
            return as_splats(self.grid.detach().cpu(), self.settings)
