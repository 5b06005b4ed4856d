"""What an exact score allows to measure: which object of the kit a result is, whose parts it has, where its faces are.

A result is looked at from the grid's 48 cameras, from which every object of the kit is known.  `backend.priors.authors`
has the posterior; a view that looks more like the view of its makers from elsewhere is of a second face.
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

MAKER = 0.1  # share from which on an object's views count as what the result should look like
CLEARLY = 0.9  # a view is of another side where that side's error is less than this part of the true one's
NEW = 25.0  # dB to the nearest object, alpha included, below which a result is none of them
FACE = 45.0  # degrees beyond which that is a second face


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """What a result has of the objects that its prior drew from."""

    nearest: str  # the source of the object that it is most like by colour and alpha, which names it alone
    psnr: float  # to that object, all views at once, colour on middle grey
    psnr_rgba: float  # the same with alpha as a fourth colour
    new: float  # 1 where the latter is less than 25 dB, else 0
    largest: float  # share of the object that most of the result is made of
    largest_in_view: float  # the same view by view: the mean share of each view's own
    turned: float  # degrees between where a view is from and where its makers look most like it, mean
    second_faces: float  # share of the views where these are more than 45


def likeness(prior: CataloguePrior, splats: Splats, side: int = SIDE) -> Likeness:
    """Of finished splats, in pictures of `side` pixels."""
    return compared(prior, encoded_views(prior, splats, side).clamp(-1, 1))


def compared(prior: CataloguePrior, x: Tensor) -> Likeness:
    """Of pictures x (48,4,S,S) from the grid's cameras."""
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
    """Degrees (48,) between each view's azimuth and the one from which its makers look most like it, in its ring."""
    which = (found.shares >= min(MAKER, float(found.shares.max()))).nonzero()[:, 0].to(prior.device)
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
    """Degrees (R,) for errors (R,R) of each view against each; where none is clearly less than the true one's, 0."""
    best, true = errors.min(1), errors.diagonal()
    between = half_turn(ring.azimuth[best.indices] - ring.azimuth)
    return torch.where(best.values < CLEARLY * true, between.abs(), 0.0)
