"""What a rule asks the prior: conditions, noise, classifier-free guidance with Perp-Neg.

Conventions: x_t = alpha_t x + sigma_t eps; guidance is
eps_hat = eps_away + s (eps_y - eps_away), where "away" is the negative prompt if there is one, else no prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.priors.base import Condition, Prior, alpha_sigma


@dataclass(frozen=True)
class Conditions:
    """The conditions of one batch of views."""

    y: Condition  # the view-dependent prompt
    null: Condition  # nothing said
    neg: Condition | None = None  # the negative prompt
    perp: tuple[tuple[Condition, Tensor], ...] = ()  # Perp-Neg: prompts of other views, weights (B,)
    rescale: float = 0.0  # how much of the contrast that guidance adds is taken back: see `Directed.hat`
    plain: Condition | None = None  # the prompt of no particular view: without view words, without camera

    @property
    def away(self) -> Condition:
        """What guidance moves away from."""
        return self.null if self.neg is None else self.neg


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise drawn on the generator's device, so that a seed means the same on every device."""
    return torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


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
class Directed:
    """What the prior says of x_t, each (B,C,h,w).

    `direction` is eps_y - eps_away with Perp-Neg (2304.04968) where `conditions.perp` asks for it: each of its
    directions loses its part along the prompt's own direction before it is weighed.
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

        With `rescale` phi > 0 the clean picture that eps_hat means gets the contrast of the one that eps_y means, by a
        share of phi (Lin et al., 2305.08891, eq. 15 and 16): else strong guidance asks for colours beyond all pictures.
        """
        eps_hat = self.eps_away + scale * self.direction
        if not self.rescale:
            return eps_hat
        alpha, sigma = self.scales
        wanted, plain = ((self.x_t - sigma * eps) / alpha for eps in (eps_hat, self.eps_y))
        less = plain.std((1, 2, 3), keepdim=True) / wanted.std((1, 2, 3), keepdim=True)
        return (self.x_t - alpha * (1 + self.rescale * (less - 1)) * wanted) / sigma


def directed(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions, *more: Row) -> Directed:
    """One forward: the prompt, what to leave, Perp-Neg's prompts, and further rows of a rule's own."""
    asked = [conditions.y, conditions.away, *(condition for condition, _ in conditions.perp)]
    eps = predict_rows(prior, [*((x_t, t, condition) for condition in asked), *more])
    eps_y, eps_away = eps[:2]
    towards = eps_y - eps_away
    direction = towards
    for eps_other, (_, weights) in zip(eps[2 : len(asked)], conditions.perp, strict=True):
        direction = direction + weights.to(towards).view(-1, 1, 1, 1) * _perpendicular(eps_other - eps_away, towards)
    more_eps = tuple(eps[len(asked) :])
    return Directed(eps_y, eps_away, direction, more_eps, x_t, alpha_sigma(prior, t), conditions.rescale)


def guided(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions, scale: float) -> tuple[Tensor, Tensor]:
    """(eps_hat, eps_y), in one forward; of the prompt alone where the scale is 1, and eps_hat is eps_y."""
    if scale == 1 and not conditions.perp:
        eps_y = prior.predict(x_t, t, conditions.y)
        return eps_y, eps_y
    said = directed(prior, x_t, t, conditions)
    return said.hat(scale), said.eps_y


def directed_and_null(prior: Prior, x_t: Tensor, t: Tensor, conditions: Conditions) -> tuple[Directed, Tensor]:
    """`directed` and eps_null, in one forward; what guidance leaves is no prompt where there is no negative one."""
    more = [] if conditions.neg is None else [(x_t, t, conditions.null)]
    said = directed(prior, x_t, t, conditions, *more)
    return said, said.more[0] if said.more else said.eps_away


def _perpendicular(a: Tensor, b: Tensor) -> Tensor:
    """The part of a (B,...) that is at right angles to b, row by row."""
    along = (a * b).sum((1, 2, 3), keepdim=True) / (b * b).sum((1, 2, 3), keepdim=True).clamp(min=1e-12)
    return a - along * b
