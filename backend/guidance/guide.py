"""How rules call the prior: conditions, noise, classifier-free guidance with Perp-Neg.

Conventions: x_t = alpha_t x + sigma_t eps; guidance is
eps_hat = eps_away + s (eps_y - eps_away), where "away" is the negative prompt if there is one, else no prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.priors.base import Condition, Prior, alpha_sigma
from backend.tensors import onto


@dataclass(frozen=True)
class Conditions:
    """The conditions of one batch of views."""

    y: Condition  # the view-dependent prompt
    null: Condition  # no prompt
    neg: Condition | None = None  # the negative prompt
    perp: tuple[tuple[Condition, Tensor], ...] = ()  # Perp-Neg: prompts of other views, weights (B,)
    rescale: float = 0.0  # share of guidance's added contrast that is removed: see `Estimates.hat`
    plain: Condition | None = None  # the prompt without view words and without camera

    @property
    def away(self) -> Condition:
        """What guidance moves away from."""
        return self.null if self.neg is None else self.neg


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise drawn on the generator's device, so that a seed means the same on every device."""
    return onto(torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype), x.device)


def noised(prior: Prior, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """x_t = alpha_t x + sigma_t eps for levels t (B,)."""
    alpha, sigma = alpha_sigma(prior, t)
    return alpha * x + sigma * eps


Row = tuple[Tensor, Tensor, Condition]  # x_t (B,C,h,w), t (B,), condition


def predict_rows(prior: Prior, rows: Sequence[Row]) -> list[Tensor]:
    """A prediction (B,C,h,w) for each row, all in one forward; rows may differ in x_t, in t and in condition."""
    x_t, t, conditions = zip(*rows, strict=True)
    return list(prior.predict(torch.cat(x_t), torch.cat(t), Condition.cat(conditions)).chunk(len(rows)))


@dataclass(frozen=True)
class Estimates:
    """The prior's noise estimates for x_t, each (B,C,h,w).

    `direction` is eps_y - eps_away, with Perp-Neg (2304.04968) where `conditions.perp` is set: the part of each of its
    directions along the prompt's own direction is removed before it is weighted.
    """

    eps_y: Tensor
    eps_away: Tensor
    direction: Tensor
    more: tuple[Tensor, ...]  # one for each further row
    x_t: Tensor
    scales: tuple[Tensor, Tensor]  # alpha_t, sigma_t, each (B,1,1,1)
    rescale: float

    def hat(self, scale: float) -> Tensor:
        """eps_hat = eps_away + s direction: classifier-free guidance.

        With `rescale` phi > 0 the clean picture of eps_hat gets the contrast of that of eps_y, by a share of phi (Lin
        et al., 2305.08891, eq. 15 and 16): otherwise strong guidance leads to colours outside the range of pictures.
        """
        eps_hat = self.eps_away + scale * self.direction
        if not self.rescale:
            return eps_hat
        alpha, sigma = self.scales
        guided_x, plain_x = ((self.x_t - sigma * eps) / alpha for eps in (eps_hat, self.eps_y))
        ratio = plain_x.std((1, 2, 3), keepdim=True) / guided_x.std((1, 2, 3), keepdim=True)
        return (self.x_t - alpha * (1 + self.rescale * (ratio - 1)) * guided_x) / sigma


def estimate_all(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions, *more: Row) -> Estimates:
    """One forward for the prompt, what guidance moves away from, Perp-Neg's prompts, and further rows of the rule."""
    used = [conditions.y, conditions.away, *(condition for condition, _ in conditions.perp)]
    eps = predict_rows(prior, [*((x_t, t, condition) for condition in used), *more])
    eps_y, eps_away = eps[:2]
    towards = eps_y - eps_away
    direction = towards
    for eps_other, (_, weights) in zip(eps[2 : len(used)], conditions.perp, strict=True):
        share = onto(weights, towards.device).to(towards.dtype).view(-1, 1, 1, 1)
        direction = direction + share * _perpendicular(eps_other - eps_away, towards)
    more_eps = tuple(eps[len(used) :])
    return Estimates(eps_y, eps_away, direction, more_eps, x_t, alpha_sigma(prior, t), conditions.rescale)


def guided(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions, scale: float) -> tuple[Tensor, Tensor]:
    """(eps_hat, eps_y) in one forward; for scale 1 without Perp-Neg both are eps_y, of the prompt alone."""
    if scale == 1 and not conditions.perp:
        eps_y = prior.predict(x_t, t, conditions.y)
        return eps_y, eps_y
    estimates = estimate_all(prior, x_t, t, conditions)
    return estimates.hat(scale), estimates.eps_y


def estimate_with_null(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions) -> tuple[Estimates, Tensor]:
    """`estimate_all` and eps_null in one forward; without a negative prompt eps_null is eps_away."""
    more = [] if conditions.neg is None else [(x_t, t, conditions.null)]
    estimates = estimate_all(prior, x_t, t, conditions, *more)
    return estimates, estimates.more[0] if estimates.more else estimates.eps_away


def _perpendicular(a: Tensor, b: Tensor) -> Tensor:
    """The part of a (B,...) that is perpendicular to b, row by row."""
    along = (a * b).sum((1, 2, 3), keepdim=True) / (b * b).sum((1, 2, 3), keepdim=True).clamp(min=1e-12)
    return a - along * b
