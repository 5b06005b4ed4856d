"""# Your own prior

A prior says of a noisy picture which noise is in it: `predict(x_t, t, condition)`.  This one knows a single thing, a
globe of eight colours, from every camera, and so its answer is exact.  If x is drawn from N(mu, s²), then

    eps(x_t) = sigma_t (x_t - alpha_t mu) / (alpha_t² s² + sigma_t²)

`condition` puts the picture mu that each camera sees into a `Condition`; `predict` finds it there.  A network would
hold the embedding of the prompt in its place.  `assemble` takes any prior; the loop and the rules know no more of it
than the protocol `backend.priors.base.Prior`.

    STEPS=200 python -m examples.02_own_prior      # makes out/own-prior/turntable.png
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from backend.cameras import Cameras
from backend.export.turntable import turntable_png
from backend.job.job import make_job
from backend.priors.analytic import scaled_linear
from backend.priors.base import Condition, Twin, alpha_sigma
from backend.priors.loading import pictures, pixels
from backend.run.assemble import assemble
from backend.run.distill import distill

STEPS, OUT, RADIUS, WIDTH = int(os.environ.get("STEPS", "200")), Path("out/own-prior"), 0.8, 0.05


class Globe:
    """A sphere whose eight parts have a colour each, on middle grey."""

    alphas_cumprod, image_size, channels = scaled_linear().float(), 64, 3
    device = torch.device("cpu")
    cameras: Cameras | None = None  # it takes any

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,3) in [0,1] -> x (B,3,64,64) in [-1,1]."""
        return pixels(images, self.image_size)

    def decode(self, x: Tensor) -> Tensor:
        """The way back."""
        return pictures(x)

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """What each camera sees, as tokens (B,1,3*64*64); grey where nobody says which camera."""
        seen = torch.full((len(texts), 64, 64, 3), 0.5) if cameras is None else seen_by(cameras, self.image_size)
        return Condition(self.encode(seen).flatten(1)[:, None])

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The formula above."""
        alpha, sigma = alpha_sigma(self, t)
        mu = condition.tokens.view(x_t.shape)
        return sigma * (x_t - alpha * mu) / (alpha**2 * WIDTH**2 + sigma**2)

    def twin(self, rank: int, seed: int) -> Twin:
        """Only VSD, ASD and LODS teach a prior beside the run."""
        raise NotImplementedError


def seen_by(cameras: Cameras, side: int) -> Tensor:
    """Pictures (B,side,side,3): a ray through each pixel, and where it meets the sphere."""
    middle = torch.arange(side) + 0.5
    v, u = torch.meshgrid(middle, middle, indexing="ij")
    pixel = torch.stack([u, v, torch.ones_like(u)], -1).view(-1, 3)
    rays = pixel @ cameras.intrinsics(side, side).inverse().mT @ cameras.viewmats[:, :3, :3]  # (B,P,3), in the world
    rays, start = rays / rays.norm(dim=-1, keepdim=True), cameras.positions[:, None]
    along = -(rays * start).sum(-1, keepdim=True)
    inside = along**2 - (start**2).sum(-1, keepdim=True) + RADIUS**2
    hit = start + (along - inside.clamp(min=0).sqrt()) * rays
    colour = 0.2 + 0.7 * (hit > 0).float()  # red where x > 0, green where y > 0, blue where z > 0
    return torch.where(inside > 0, colour, 0.5).view(-1, side, side, 3)


if __name__ == "__main__":
    job = make_job({"prompt": "a globe", "objective": "sds", "quality": "draft", "recipe": {"steps": STEPS}})
    run = assemble(job, Globe(), torch.device("cpu"))
    for event in distill(run, STEPS):
        print(event)
    OUT.mkdir(parents=True, exist_ok=True)
    turntable_png(run.scene.splats(), OUT / "turntable.png")
