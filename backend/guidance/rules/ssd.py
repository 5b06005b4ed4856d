"""SSD: stable score distillation (Tang et al., 2312.09305).

    t > M of 1000    g = w(t) h,                          h = s (eps_y - eps_null)
    else             g = w(t) |h| / |e| e,                e = eps_y - r eps,    r = <eps_y, eps> / <eps, eps>
    x_t = alpha_t x + sigma_t eps,    w = sigma_t^2

Guided SDS is s (eps_y - eps_null), which leaves the unspecific modes ("mode-disengaging"), plus eps_y ("mode-seeking"),
minus eps ("variance-reducing").  High levels, which make the shape, use the first term only; low ones use the second
without its component along eps, instead of subtracting all of eps.

We know of no code by the authors, and had only the paper's abstract and others' accounts.  Decided here, in agreement
with the code of PGC-3D (fudan-zvg, 2310.12474), which has the rule as an option:
* Noise is projected out of eps_y, not out of h.  r and both norms are those of each view's whole sample.  PGC-3D
  divides by |eps| where the projection needs |eps|^2.
* It sets M to 100; so do we.  Where only high levels are used, M has to be raised for both terms to show.
* s scales h and, through |h|, the other term.  The negative prompt and Perp-Neg work as in other rules.
* Another rule (2507.09168, for editing) has the same name.
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Guidance, Level, Options, Rule, Score, Weighing
from backend.guidance.guide import estimate_all


class SSDOptions(Options, frozen=True):
    """PGC-3D's settings."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma^2"
    switch: Annotated[
        Level, Meta(description="Up to this level, of 1000, the prompt's estimate without its noise counts")
    ] = 100


class SSD(Rule[SSDOptions]):
    """One forward of the U-Net a step."""

    Options = SSDOptions

    def gradient(self, batch: Batch) -> Score:
        """The first or the second term, by the level."""
        o, eps = self.options, batch.noise()
        estimates = estimate_all(batch.prior, batch.noised(eps), batch.t, batch.conditions)
        h = o.guidance_scale * estimates.direction
        rest = estimates.eps_y - _along(estimates.eps_y, eps)
        term = torch.where(batch.above(o.switch), h, _norm(h) / _norm(rest).clamp(min=1e-12) * rest)
        return batch.score(o.weight, term, estimates.eps_y, eps)


def _along(a: Tensor, b: Tensor) -> Tensor:
    """The part of a (B,C,h,w) that points along b, view by view."""
    return (a * b).sum((1, 2, 3), keepdim=True) / (b * b).sum((1, 2, 3), keepdim=True) * b


def _norm(a: Tensor) -> Tensor:
    norm: Tensor = a.flatten(1).norm(dim=1)
    return norm.view(-1, 1, 1, 1)
