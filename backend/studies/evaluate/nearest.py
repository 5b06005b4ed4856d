"""Figures that an exact score allows: the nearest object of the kit, the shares of its objects, and second faces.

A result is rendered from the grid's 48 cameras, for which every object of the kit has pictures.  The posterior is in
`backend.priors.authors`; a view that looks more like its authors from another side is a second face.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor

from backend.cameras import Cameras, half_turn
from backend.priors.authors import Authors, authors
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import RINGS, SIDE
from backend.run.credits import encoded_views
from backend.scenes.splats import Splats

AUTHOR = 0.1  # least share of an object with whose views the result is compared
CLEARLY = 0.9  # a view shows another side if that side's error is less than this part of the true side's
NEW = 25.0  # dB to the nearest object, with alpha, below which a result counts as new
FACE = 45.0  # degrees beyond which another side counts as a second face


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How a result compares with the objects that its prior drew."""

    nearest: str  # the unique source of the object that it is most like by colour and alpha
    psnr: float  # to that object, all views at once, colour on middle grey
    psnr_rgba: float  # the same with alpha as a fourth channel
    new: float  # 1 where the latter is less than 25 dB, else 0
    largest: float  # the largest share of an object in the result
    largest_in_view: float  # the largest share in each view, averaged over views
    turned: float  # mean degrees between a view's side and the side from which its authors look most like it
    second_faces: float  # share of the views where these are more than 45


def likeness(prior: CataloguePrior, splats: Splats, side: int = SIDE) -> Likeness:
    """The likeness of finished splats, in pictures of `side` pixels."""
    return compared(prior, encoded_views(prior, splats, side).clamp(-1, 1))


def compared(prior: CataloguePrior, x: Tensor) -> Likeness:
    """The likeness of pictures x (48,4,S,S) from the grid's cameras."""
    found = authors(prior, x)
    angles = turned(prior, x, found)
    return Likeness(
        nearest=found.objects[found.nearest].source,
        psnr=float(found.psnr[found.nearest]),
        psnr_rgba=float(found.psnr_rgba.max()),
        new=float(found.psnr_rgba.max() < NEW),
        largest=float(found.shares.max()),
        largest_in_view=float(found.views.max(1).values.mean()),
        turned=float(angles.mean()),
        second_faces=float((angles > FACE).float().mean()),
    )


def turned(prior: CataloguePrior, x: Tensor, found: Authors) -> Tensor:
    """Degrees (48,) between each view's azimuth and the one from which its authors look most like it, in its ring."""
    which = (found.shares >= min(AUTHOR, float(found.shares.max()))).nonzero()[:, 0].to(prior.device)
    known = [prior.sources[0].pictures(camera, x.shape[-1]).x[which] for camera in range(len(x))]
    angles = torch.zeros(len(x))
    for elevation, *_ in RINGS:
        ring = (prior.grid.elevation == elevation).nonzero()[:, 0]
        errors = torch.stack([_errors(x[ring], known[camera]) for camera in ring.tolist()], 1)
        angles[ring] = _turns(prior.grid[ring], errors.cpu())
    return angles


def _errors(x: Tensor, objects: Tensor) -> Tensor:
    """Mean squared difference of pictures (R,4,S,S) from the nearest of some objects (K,4,S,S) in one view: (R,)."""
    distances = torch.cdist(x.flatten(1), objects.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    return distances.amin(1).square() / x[0].numel()


def _turns(ring: Cameras, errors: Tensor) -> Tensor:
    """Degrees (R,) for errors (R,R) of each view against each; 0 where none is clearly smaller than the true one."""
    best, true = errors.min(1), errors.diagonal()
    between = half_turn(ring.azimuth[best.indices] - ring.azimuth)
    return torch.where(best.values < CLEARLY * true, between.abs(), 0.0)
