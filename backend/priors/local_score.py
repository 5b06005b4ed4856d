"""The exact score of a set of pictures, and its local version, which makes new pictures from their parts.

Let x be one of the pictures I_k with probability pi_k, blurred by a Gaussian of width s.  Then x_t is from the mixture
of N(alpha I_k, v), v = alpha^2 s^2 + sigma^2, and the estimate of the clean picture is

    D(p)   = sum_k r_k(p) I_k(p)
    r_k(p) = softmax_k [ log pi_k - 1/(2v) sum over q in W(p) of |x_t(q) - alpha I_k(q)|^2 ]
    eps    = sigma / v (x_t - alpha D)

With W the whole picture this is exact (Scarvelis, Borde, Solomon, "Closed-form diffusion models", 2310.12395), and its
samples are the pictures themselves.  With W a window around each pixel it is what a convolutional network learns in
their place (Kamb and Ganguli, "An analytic theory of creativity in convolutional diffusion models", 2412.20292): a
mosaic of their parts.

Only differences between the k matter, so |x_t|^2 drops out of the square: what remains is one product of x_t with each
picture, and the pictures' own squares, which are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.tensors import onto

NEGLIGIBLE = 18.0  # pictures e^18 times less likely than the best at a pixel are ignored there: 1.5e-8 of the estimate
NEVER = -1e9  # log-weight of a picture that must not be chosen; finite, so that conditions can be blended
# From this noise level on (sigma), the window's side in shares of the picture's, for the usual mix and for the most.
WINDOWS = ((0.95, 1.0, 0.35), (0.8, 0.5, 0.18), (0.0, 0.25, 0.1))
USUAL_MIX = 0.5


def window_side(sigma: float, mix: float, side: int) -> int:
    """Side of the window in pixels, odd, or `side` for the whole picture.

    `mix` in [0,1]: at 0 windows are whole pictures at all levels, at 1/2 and 1 they are as in the table, and between
    they are interpolated geometrically.  Above 1/2 no window is a whole picture, so that the parts of an object are
    held together only by fitting each other.
    """
    usual, most = next((usual, most) for least, usual, most in WINDOWS if sigma >= least)
    further = max(mix / USUAL_MIX - 1, 0.0)
    share = usual ** min(mix / USUAL_MIX, 1.0) * (most / usual) ** further
    return side if share > 0.99 else min(side, round(share * side) | 1)


def box_sum(values: Tensor, side: int) -> Tensor:
    """Sums of values (...,H,W) over windows of this odd side around each pixel, clipped at the picture's edge.

    Two products with a banded matrix: for pictures of 128 pixels faster than running sums, and as exact.
    """
    vertical, horizontal = (_band(length, side, values) for length in values.shape[-2:])
    return vertical @ values @ horizontal


def _band(length: int, side: int, like: Tensor) -> Tensor:
    """(length,length): 1 where two pixels are in one window."""
    place = torch.arange(length, device=like.device)
    return ((place[:, None] - place).abs() <= side // 2).to(like)


def log_likelihood(x_t: Tensor, pictures: Tensor, squares: Tensor, alpha: float, variance: float, side: int) -> Tensor:
    """How well each picture explains x_t, up to a constant: (K,1,1) for whole windows, else (K,H,W).

    x_t (C,H,W), pictures (K,C,H,W), squares (K,H,W) the pictures' squares summed over channels.
    """
    if side >= x_t.shape[-1]:
        product = pictures.flatten(1) @ x_t.flatten()
        whole: Tensor = (alpha * product - alpha**2 / 2 * squares.sum((1, 2))) / variance
        return whole[:, None, None]
    products = (pictures * x_t).sum(1)
    return box_sum(alpha * products - alpha**2 / 2 * squares, side) / variance


def summed_over_views(found: list[Tensor], groups: list[tuple[int, int]], views: list[int]) -> list[Tensor]:
    """Log-likelihoods (M,1,1) of whole pictures, summed over the different views of each group and level.

    Those of windows (M,S,S), and of rows without a group (-1), are unchanged.
    """
    whole: dict[tuple[int, int], dict[int, Tensor]] = {}
    for likelihood, group, view in zip(found, groups, views, strict=True):
        if group[0] >= 0 and likelihood.shape[-1] == 1:
            whole.setdefault(group, {})[view] = likelihood
    return [
        torch.stack(list(whole[group].values())).sum(0) if group in whole and likelihood.shape[-1] == 1 else likelihood
        for likelihood, group in zip(found, groups, strict=True)
    ]


def posterior(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities r (K',H,W) or (K',1,1), and the numbers (K',) of their pictures among the K.

    log_weights (K,H,W) or (K,1,1).  A picture that is negligible at a pixel has r = 0 there, and one that is
    negligible everywhere is dropped; their share, at most (K - 1) e^-18 per pixel, goes to the others.
    """
    return posteriors([log_weights])[0]


def posteriors(rows: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """As `posterior` for several rows; a card is asked once for all of them which pictures are negligible."""
    matters = [row.detach() > row.detach().amax(0, keepdim=True) - NEGLIGIBLE for row in rows]
    flags = torch.split(torch.cat([there.flatten(1).any(1) for there in matters]).cpu(), [len(row) for row in rows])
    kept = [onto(flag.nonzero()[:, 0], row.device) for flag, row in zip(flags, rows, strict=True)]
    # Exact zeros also avoid denormal numbers, which the processor multiplies a hundred times more slowly.
    return [
        (row[some].masked_fill(~there[some], -torch.inf).softmax(0), some)
        for row, there, some in zip(rows, matters, kept, strict=True)
    ]


def denoised(log_weights: Sequence[Tensor], pictures: Sequence[Tensor]) -> Tensor:
    """The estimates D (B,C,H,W) of the clean pictures: each row's pictures (K,C,H,W) weighted by their posterior."""
    rows = zip(posteriors(log_weights), pictures, strict=True)
    return torch.stack([(r[:, None] * (x if len(kept) == len(x) else x[kept])).sum(0) for (r, kept), x in rows])


def rgba_to_x(views: Tensor, side: int) -> Tensor:
    """Pictures (N,S,S,4) uint8 with straight alpha -> x (N,4,side,side): colour over middle grey and alpha, in [-1,1].

    Colour over grey is linear in coverage, so a smaller x is the mean of a larger one.
    """
    rgba = views.movedim(-1, 1).float() / 255
    alpha = rgba[:, 3:]
    x = torch.cat([(rgba[:, :3] * 2 - 1) * alpha, alpha * 2 - 1], 1)
    return x if x.shape[-1] == side else F.interpolate(x, (side, side), mode="area")
