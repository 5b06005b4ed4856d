"""The prompt with the words for each view, and Perp-Neg.

View words: ", front view" within 45° of the front, ", back view" beyond 135°, ", side view" between,
", overhead view" above 60° (DreamFusion 2209.14988, section 3.2).  Perp-Neg (2304.04968) blends the words of
neighbouring views and pushes away from the views that a camera does not look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from backend.cameras import OVERHEAD, Cameras, half_turn, view_word
from backend.guidance.guide import Conditions
from backend.priors.base import Condition, Prior
from backend.tensors import onto


class Prompts:
    """One job's prompt and negative prompt, ready to condition any batch of cameras."""

    def __init__(
        self,
        prior: Prior,
        prompt: str,
        negative: str = "",
        views: bool = True,
        perp_neg: bool = False,
        rescale: float = 0.0,
    ) -> None:
        self.prior, self.prompt, self.negative = prior, prompt, negative
        self.views, self.perp_neg, self.rescale = views, perp_neg, rescale

    def for_view(self, word: str) -> str:
        """The prompt with the word for a view."""
        return f"{self.prompt}, {word} view" if self.views else self.prompt

    def conditions(self, cameras: Cameras) -> Conditions:
        """Conditions for B cameras."""
        count = len(cameras)
        angles = zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True)
        y = self.prior.condition([self.for_view(view_word(*angle)) for angle in angles], cameras)
        null = self.prior.condition([""] * count, cameras)
        neg = self.prior.condition([self.negative] * count) if self.negative else None
        perp: tuple[tuple[Condition, Tensor], ...] = ()
        if self.perp_neg:
            y, perp = self._perp_neg(cameras, y)
        plain = self.prior.condition([self.prompt] * count)
        return Conditions(y, null, neg, perp, self.rescale, plain)

    def _perp_neg(self, cameras: Cameras, y: Condition) -> tuple[Condition, tuple[tuple[Condition, Tensor], ...]]:
        """The blended prompt, and for each view the two prompts to move away from with their weights."""
        turn = half_turn(cameras.azimuth).abs()
        plain = cameras.elevation > OVERHEAD  # from above there is no neighbouring view to blend with
        ahead = turn < 90
        share = torch.where(ahead, 1 - turn / 90, 2 - turn / 90)
        front, side, back = (
            self.prior.condition([self.for_view(word)] * len(cameras), cameras) for word in ("front", "side", "back")
        )
        near = _choose(ahead, front, side)
        blended = _blend(share, near, _choose(ahead, side, back))
        pair, to_back, to_front = _decay(4, 0.5, -2.426), _decay(1, 0.5, 0.967), _decay(1, 0.5, -0.606)
        first = torch.where(ahead, pair(share), to_front(share))
        second = torch.where(ahead, pair(1 - share), to_back(share))
        zero = torch.zeros_like(first)
        away = (
            (near, torch.where(plain, zero, first)),
            (_choose(ahead, side, front), torch.where(plain, zero, second)),
        )
        return _choose(plain, y, replace(blended, extra=_as_seen(y, blended))), away


def _as_seen(y: Condition, blended: Condition) -> dict[str, Tensor]:
    """The extra conditions of the blended prompt.  Integers among them name the camera and are not blended."""
    return {key: value if value.is_floating_point() else y.extra[key] for key, value in blended.extra.items()}


def _decay(a: float, b: float, c: float) -> Callable[[Tensor], Tensor]:
    """Perp-Neg's weight -(a exp(-b r) + c) as a function of r."""
    return lambda share: -(a * torch.exp(-b * share) + c)


def _blend(share: Tensor, one: Condition, other: Condition) -> Condition:
    """share (B,) of `one` and the rest of `other`; integers are those of `one`."""
    return _joined(lambda a, b: torch.lerp(b, a, _rows(share, a)) if a.is_floating_point() else a, one, other)


def _choose(where: Tensor, one: Condition, other: Condition) -> Condition:
    """Row by row, for every tensor: `one` where true, else `other`."""
    return _joined(lambda a, b: torch.where(_rows(where, a).bool(), a, b), one, other)


def _joined(join: Callable[[Tensor, Tensor], Tensor], one: Condition, other: Condition) -> Condition:
    extra = {key: join(value, other.extra[key]) for key, value in one.extra.items()}
    return Condition(join(one.tokens, other.tokens), extra)


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B,1,...), with the dimensions, device and precision of another tensor."""
    return onto(values, like.device).to(like.dtype).view(-1, *[1] * (like.dim() - 1))
