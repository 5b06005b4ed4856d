"""Which objects a result is made of, and by whom: the posterior of the closed-form prior for a finished result.

At a low noise level the local score estimates each pixel from the objects that best explain the window around it (see
`local_score`).  For the pictures of a result, without noise, that posterior says which objects each pixel could be
from; its sum over the covered pixels is each object's share.  The objects' creators are credited by these shares.

The window is a quarter of the picture for every `mix`, and all objects are as likely beforehand, so that shares of
different runs can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec
import torch
from torch import Tensor

from backend.priors.catalogue import STD, CataloguePrior
from backend.priors.kit import KitObject
from backend.priors.local_score import USUAL_MIX, log_likelihood, posterior, window_side

LEVEL = 300  # of 1000: shapes and colours are settled, and what is left is noise
LEAST = 0.01  # smallest share that is credited: a few pixels of an edge resemble almost any object
FINEST = 1e-9  # mean squared error that counts as equal pictures


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """An object that a result is made of."""

    name: str
    title: str = ""  # what its creator called it, where that is not the name
    creator: str = ""
    licence: str = ""
    source: str = ""
    share: float  # of what is covered, in [0,1]


@dataclass(frozen=True)
class Authors:
    """The share that each of the prior's K objects has in a result, seen from the grid's C cameras."""

    objects: tuple[KitObject, ...]  # K
    cover: Tensor  # (C,) covered pixels in each view
    parts: Tensor  # (C,K) covered pixels by object: sums to `cover` over K
    errors: Tensor  # (C,K,4) mean squared differences by channel in [0,1]: red, green, blue on middle grey, and alpha

    @cached_property
    def shares(self) -> Tensor:
        """Share of each object (K,) over all views; sums to 1, or to 0 where nothing is covered."""
        return self.parts.sum(0) / self.cover.sum().clamp(min=FINEST)

    @property
    def views(self) -> Tensor:
        """Share of each object in each view (C,K)."""
        return self.parts / self.cover[:, None].clamp(min=FINEST)

    @property
    def psnr(self) -> Tensor:
        """PSNR against each object (K,) in dB: all views at once, colour on middle grey."""
        return _decibel(self.errors[..., :3].mean((0, 2)))

    @property
    def psnr_rgba(self) -> Tensor:
        """As `psnr`, with alpha as a fourth channel: by colour alone a pale haze is close to any grey object."""
        return _decibel(self.errors.mean((0, 2)))

    @property
    def nearest(self) -> int:
        """Which of the K objects the result is most like, by `psnr_rgba`."""
        return int(self.psnr_rgba.argmax())

    def credits(self) -> list[Credit]:
        """The objects with a share of at least LEAST, the largest first."""
        order = self.shares.argsort(descending=True).tolist()
        credited = [(self.objects[k], float(self.shares[k])) for k in order if self.shares[k] >= LEAST]
        fields = ("name", "title", "creator", "licence", "source")
        return [Credit(share=round(share, 4), **{f: getattr(made, f) for f in fields}) for made, share in credited]


def credits(prior: CataloguePrior, x: Tensor) -> list[Credit]:
    """The objects that a result is made of, the largest share first, without shares below a hundredth.

    x (48,4,S,S) are its pictures from each of the grid's cameras, as `prior.encode` gives them.
    """
    return authors(prior, x).credits()


@torch.no_grad()
def authors(prior: CataloguePrior, x: Tensor) -> Authors:
    """The authors of x (48,4,S,S); ValueError unless it has one picture for each camera of the grid."""
    if len(x) != len(prior.grid) or x.shape[1] != prior.channels:
        raise ValueError(f"{tuple(x.shape)} is not ({len(prior.grid)},{prior.channels},S,S): one picture a camera.")
    rows = [_view(prior, picture, camera) for camera, picture in enumerate(x.to(prior.device).float())]
    parts, errors = (torch.stack(found).cpu() for found in zip(*rows, strict=True))
    objects = tuple(prior.catalogue.kit.objects[number] for number in prior.numbers.tolist())
    return Authors(objects, parts.sum(1), parts, errors)


def _view(prior: CataloguePrior, x: Tensor, camera: int) -> tuple[Tensor, Tensor]:
    """For one picture (4,S,S): pixels of each object (K,), and errors (K,4)."""
    alpha_bar = float(prior.alphas_cumprod[LEVEL])
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    known, side = prior.sources[0].pictures(camera, x.shape[-1]), window_side(sigma, USUAL_MIX, x.shape[-1])
    found = log_likelihood(alpha * x, known.x, known.squares, alpha, (alpha * STD) ** 2 + sigma**2, side)
    r, kept = posterior(found)
    parts = x.new_zeros(len(known.x))
    parts[kept] = (r * ((x[3] + 1) / 2).clamp(0, 1)).sum((1, 2))
    return parts, ((known.x - x) / 2).square().mean((2, 3))


def _decibel(error: Tensor) -> Tensor:
    return -10 * error.clamp(min=FINEST).log10()
