"""An object's main colour turned into another: a red car becomes a blue one, on the same black tyres.

Pixels are compared in Oklab, where shade scales all three axes by one factor, so that a/L and b/L, a pixel's *tint*,
are the same in light and in shade.  A vivid colour is unmixed: a pixel's share of it is how far its tint lies from grey
towards the colour's, so that seams and highlights change too and brown legs do not.  A grey has no such direction:
there the pixels near to it belong to it, except those too dark to be its shade.  Pixels that belong to the colour take
the new tint, and keep their lightness relative to the main colour, so that folds and grain stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.priors.colours import Colour, bytes_of, oklab, oklab_of

Views = NDArray[np.uint8]  # (C,S,S,4) straight alpha, sRGB
Array = NDArray[np.float32]

DARKEST = 0.25  # L below which a tint is noise
# Pairs are the ends of a smooth transition (`_rise`).
VIVID = (0.07, 0.14)  # length of a tint: from grey to vivid
ASIDE = (0.35, 0.7)  # sine of the angle between tints: from the same hue to another
SMALL = 0.05  # length of a tint without a hue
NEAR = (0.05, 0.11)  # distance of a pixel's tint from a grey's: from belonging to it to not
BRIGHTER = (0.2, 0.35)  # L above that of a grey: from a lit part of it to another colour
SHADE = (0.58, 0.42)  # L relative to a light grey's: from its shade to another colour
LIGHT = (0.3, 0.45)  # L of a grey: from so dark that anything darker is its shade, to light
PEDESTAL = 0.4  # of L: keeps the contrast of dark colours from being exaggerated in light ones


def dye(views: Views, own: Colour, to: Colour) -> Views:
    """Pictures (C,S,S,4) of an object, with its main colour changed from `own` to `to` (sRGB in [0,1])."""
    dyed = views.copy()
    flat = dyed.reshape(-1, 4)
    seen = np.flatnonzero(flat[:, 3])
    lab = oklab_of(flat[seen, :3])
    old, new = oklab(own), oklab(to)
    share, rest = unmixed(lab, old)
    belongs = share > 0
    seen, lab, share, rest = seen[belongs], lab[belongs], share[belongs], rest[belongs]
    lightness = lab[:, 0] + share * (relit(lab[:, 0], float(old[0]), float(new[0])) - lab[:, 0])
    tint = rest + share[:, None] * (_tint(new[None]) - rest)
    flat[seen, :3] = bytes_of(np.column_stack([lightness, tint * np.maximum(lightness, DARKEST)[:, None]]))
    return dyed


def unmixed(lab: Array, colour: Array) -> tuple[Array, Array]:
    """The share (N,) in [0,1] of a colour (3,) in Oklab pixels (N,3), and their tints (N,2) without it."""
    tints, tint = _tint(lab), _tint(colour[None])[0]
    vivid = float(_rise(np.hypot(*tint), *VIVID))
    share, rest = np.zeros(len(lab), np.float32), tints
    if vivid > 0:
        direction = tint / np.hypot(*tint)
        along, aside = tints @ direction, np.abs(tints @ np.array([-direction[1], direction[0]], np.float32))
        alike = vivid * (1 - _rise(aside / np.maximum(np.hypot(along, aside), SMALL), *ASIDE))
        share = alike * np.clip(along / np.hypot(*tint), 0, 1)
        rest = tints - (alike * np.maximum(along, 0))[:, None] * direction
    if vivid < 1:
        near = 1 - _rise(np.hypot(*(tints - tint).T), *NEAR)
        bright = _rise(lab[:, 0] - colour[0], *BRIGHTER)
        dark = _rise(lab[:, 0] / max(float(colour[0]), DARKEST), *SHADE) * _rise(colour[0], *LIGHT)
        share = share + (1 - vivid) * near * (1 - bright) * (1 - dark)
    return np.asarray(share, np.float32), np.asarray(rest, np.float32)


def relit(lightness: Array, old: float, new: float) -> Array:
    """L (N,) for the new colour, as much lighter or darker than it as the pixels' L (N,) is than the old colour's."""
    pedestal = max(0.0, PEDESTAL - old)
    target = new * (lightness + pedestal) / (old + pedestal)
    room = max(1 - new, 0.01)  # highlights above the new colour are compressed into this
    return np.asarray(np.where(target > new, new + room * -np.expm1((new - target) / room), target), np.float32)


def _tint(lab: Array) -> Array:
    return np.asarray(lab[:, 1:] / np.maximum(lab[:, :1], DARKEST), np.float32)


def _rise(value: Array | np.floating, start: float, end: float) -> Array:
    """0 up to `start`, 1 from `end` on, smooth between."""
    part = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)
