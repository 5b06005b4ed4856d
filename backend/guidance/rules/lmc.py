"""LMC-SDS: SDS with a learned manifold corrective (Alldieck et al., 2401.05293).

    g = w(t) (eps_hat(x_t) - eps_b),    eps_b = eps + alpha_t / sigma_t (x - b(x, t)),    w = sigma_t^2
    b is trained beforehand on clean pictures: min ||b(x, t) - D(x_t)||^2,    D(x_t) = (x_t - sigma_t eps_y) / alpha_t

The gradient of SDS is guidance's direction plus w (eps_y - eps) = w alpha/sigma (x - D(x_t)), a pull towards the
prior's one-step denoising.  That is blurred even for a picture the prior knows well: SDS follows it into the blur, and
needs strong guidance to be seen.  LMC does the same damage to the picture on the other side of the difference, x
becomes b(x, t), and what is left is the part that the picture itself is to blame for.  With b = x this is SDS.

As we understand the paper, b sees the clean picture and the level, not the noise and not the text, and the gradient is
taken without the Jacobian of b, as without that of the prior.

Sources: the paper's abstract and introduction (its full text was not at hand, and there is no public code); the
equations are the ones that its words "decompose the loss", "mimicking the time-step dependent frequency bias" and
"factor it out" define.  Written as noise they are one subtraction.

Decided here:
* Guidance: the paper weighs both parts of SDS apart.  In eps_hat = eps_away + s (eps_y - eps_away) the part of guidance
  has the weight s - 1, and LMC is used at an s that is far below SDS's 100.
* Training: on ||eps_b - eps_y||^2, the same loss weighed by level (backend/guidance/corrective.py).
* Which b: `corrective` names a file that `python -m backend train-lmc` has made.  Without one kits take the shipped
  network, trained on the kit that ships; for other priors there is none, b is x, and a note says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from backend.guidance import corrective
from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing
from backend.priors.base import PriorError

RGBA = 4


class LMCOptions(Options, frozen=True):
    """The scale is between SDS's and that of other rules."""

    guidance_scale: Guidance = 20.0
    weight: Weighing = "sigma^2"
    corrective: Annotated[
        str, Meta(description="File made by python -m backend train-lmc; empty: the one that ships, for kits")
    ] = ""


class LMC(Rule[LMCOptions]):
    """One forward of the U-Net a step, and one of the small network."""

    Options = LMCOptions

    def __init__(self, options: LMCOptions) -> None:
        super().__init__(options)
        file = Path(options.corrective).expanduser() if options.corrective else corrective.SHIPPED
        self.network: nn.Module = corrective.load(file)[0]

    @torch.no_grad()
    def gradient(self, batch: Batch) -> Score:
        """SDS whose control variate has lost what the prior's own has."""
        o, eps = self.options, batch.noise()
        eps_hat, _ = batch.guided(batch.noised(eps), o.guidance_scale)
        eps_b = self._noise_of(batch, eps)
        removed = (eps_b - eps).square().mean().sqrt()
        return batch.score(o.weight, eps_hat - eps_b, eps_hat, eps_b, correction=removed)

    def _noise_of(self, batch: Batch, eps: Tensor) -> Tensor:
        """eps_b (B,C,h,w); eps where no corrective fits the prior."""
        if not self.options.corrective and not shipped_fits(batch.prior.channels):
            return eps
        network, channels = self.network.to(batch.x.device), batch.x.shape[1]
        trained = getattr(network, "channels", channels)
        if trained != channels:
            raise PriorError(
                f"recipe.options.corrective: {self.options.corrective} is for samples of {trained} channels and this "
                f"prior's have {channels}: make one with {corrective.HOW}."
            )
        return corrective.noise_of(network, batch.prior, batch.x, batch.t, eps)


def shipped_fits(channels: int) -> bool:
    """Whether a prior, whose pictures have so many channels, is a kit: the shipped network knows no others."""
    return channels == RGBA
