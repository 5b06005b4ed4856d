"""An object's main colour turned into another: a red car becomes a blue one, on the same black tyres.

Pixels are compared in Oklab, where shade scales all three axes by one factor: a/L and b/L, a pixel's *tint*, are those
of the colour in light and in shade.  A vivid colour is unmixed: a pixel has as much of it as its tint goes from grey
towards the colour's, so that seams and highlights go with it and brown legs stay.  A grey has no direction to go in:
there the pixels near to it belong to it, but for what is too dark to be its shade.  What belongs takes the new colour's
tint, and becomes lighter or darker by as much as it was lighter or darker than the old: folds and grain stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.priors.colours import Colour, bytes_of, oklab, oklab_of

Views = NDArray[np.uint8]  # (C,S,S,4) straight alpha, sRGB
Array = NDArray[np.float32]

DARKEST = 0.25  # L below which a tint is noise
VIVID = (0.07, 0.14)  # length of a tint up to which it is a grey's, and from which it is vivid
ASIDE = (0.35, 0.7)  # sine of the angle up to which a tint has a vivid one's hue, and from which it has not
SMALL = 0.05  # length of a tint that has no hue
NEAR = (0.05, 0.11)  # distance of tints up to which a pixel is of a grey, and from which it is not
BRIGHTER = (0.2, 0.35)  # by how much L may be above that of a grey in the light
SHADE = (0.58, 0.42)  # L, next to a light grey's, down to which a pixel is in its shade, and from which it is not
LIGHT = (0.3, 0.45)  # L up to which a grey is so dark that all below is its shade, and from which it is light
PEDESTAL = 0.4  # of L: the contrast of darker colours is not blown up in lighter ones


def dye(views: Views, own: Colour, to: Colour) -> Views:
    """Pictures (C,S,S,4) of an object whose main colour is `own` and is to be `to` (sRGB in [0,1])."""
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
    """How much Oklab pixels (N,3) have a colour (3,), (N,) in [0,1], and the tints (N,2) that they have without it."""
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
    """L of a new colour that is as much lighter or darker as the pixels' L (N,) is than the old colour's."""
    pedestal = max(0.0, PEDESTAL - old)
    target = new * (lightness + pedestal) / (old + pedestal)
    room = max(1 - new, 0.01)  # above the new colour: highlights fade into it
    return np.asarray(np.where(target > new, new + room * -np.expm1((new - target) / room), target), np.float32)


def _tint(lab: Array) -> Array:
    return np.asarray(lab[:, 1:] / np.maximum(lab[:, :1], DARKEST), np.float32)


def _rise(value: Array | np.floating, start: float, end: float) -> Array:
    """0 up to `start`, 1 from `end` on, smooth between."""
    part = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)
