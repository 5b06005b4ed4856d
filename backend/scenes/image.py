"""Plain pictures as a scene: text-to-2D, the fastest way to see how an objective behaves.

The scene is `count` pictures (particles), one for each view of a step, whose pixels are the parameters.  There is no
renderer between the objective and the pixels (DreamMapping's Figs. 10 and 14).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

from backend.cameras import Cameras
from backend.scenes.initial import discs
from backend.scenes.rendered import Render
from backend.scenes.splats import Splats
from backend.state import below, moments, set_moments
from backend.tensors import all_finite


class ImageScene:
    """Optimised pixels; a Scene.  They start as noise of standard deviation 0.01 around 0.5 in every channel.

    With four `channels` the last is alpha, and colour is straight; with three the pictures are opaque.
    """

    def __init__(
        self,
        count: int,
        side: int,
        rate: float,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        channels: int = 3,
    ) -> None:
        start = 0.5 + 0.01 * torch.randn(count, side, side, channels, generator=generator)
        self.pixels = Parameter(start.to(device))
        self.optimiser = torch.optim.Adam([self.pixels], lr=rate)

    def render(self, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
        """The pictures (B,height,width,3) over their backgrounds (B,3), one for each camera."""
        if len(cameras) != len(self.pixels):
            raise ValueError(f"{len(self.pixels)} pictures need as many cameras, not {len(cameras)}")
        pixels: Tensor = self.pixels
        if pixels.shape[1:3] != (height, width):
            small = F.interpolate(pixels.movedim(-1, 1), (height, width), mode="bilinear", antialias=True)
            pixels = small.movedim(1, -1)
        rgb, alpha = _over(pixels, backgrounds.to(pixels)[:, None, None])
        return Render(rgb, alpha, alpha)

    def regulariser(self, render: Render) -> Tensor:
        """Zero: there are no penalties."""
        return render.rgb.new_zeros(())

    def step(self, step: int, render: Render, generator: Any) -> dict[str, float]:
        """One step of Adam; the pixels stay in [0,1]."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.pixels.clamp_(0, 1)
        return {"saturation": saturation(_over(self.pixels.detach())[0])}

    def finite(self) -> bool:
        """Whether all pixels and gradients are finite."""
        return all_finite([self.pixels])

    def drop_gradients(self) -> None:
        """Drop the gradient."""
        self.optimiser.zero_grad(set_to_none=True)

    def resumable(self) -> bool:
        """Whether all pixels are finite."""
        return bool(torch.isfinite(self.pixels).all())

    def pictures(self) -> Tensor:
        """The pictures now (count,side,side,3) in [0,1] over middle grey, on the CPU."""
        return _over(self.pixels.detach())[0].cpu().clone()

    def splats(self) -> Splats:
        """The first picture as discs in the plane that faces the front, 2 m wide, on the CPU."""
        first = self.pictures()[0]
        side = torch.linspace(-1, 1, len(first))
        z, x = torch.meshgrid(-side, side, indexing="ij")
        points = torch.stack([x, torch.zeros_like(x), z], -1).view(-1, 3)
        return discs(points, torch.tensor([[0.0, -1.0, 0.0]]).expand_as(points), first.view(-1, 3))

    def state_dict(self) -> dict[str, Tensor]:
        """Pixels and Adam's moments."""
        kept = moments(self.optimiser, self.pixels)
        state = {"pixels": self.pixels, **{f"adam.{key}": value for key, value in kept.items()}}
        return {key: value.detach().cpu().clone() for key, value in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave: the next step is the same to the last bit."""
        with torch.no_grad():
            self.pixels.copy_(state["pixels"])
        set_moments(self.optimiser, self.pixels, below(state, "adam."))


def _over(pixels: Tensor, background: Tensor | float = 0.5) -> tuple[Tensor, Tensor]:
    """Pixels (B,H,W,3 or 4) -> colour (B,H,W,3) over the background, alpha (B,H,W,1)."""
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    if not alpha.shape[-1]:
        return rgb, torch.ones_like(rgb[..., :1])
    return rgb * alpha + background * (1 - alpha), alpha


def saturation(rgb: Tensor) -> float:
    """Mean of HSV's saturation, (max - min) / max, over all pixels of (...,3) in [0,1]."""
    high, low = rgb.amax(-1), rgb.amin(-1)
    return float(((high - low) / high.clamp(min=1e-6)).mean())
