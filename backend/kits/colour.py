"""Finds the main colour of an object: the one that covers most of it, as people would name it.

Pixels are compared in Oklab (Ottosson, 2020).  Shade scales all three of its axes by one factor, so a/L and b/L are
the same in light and in shade; L itself counts little, enough to distinguish white from black.  A vivid colour is
preferred to a grey one that covers up to twice as much: a red sofa on steel legs is red, and so is a red car with black
tyres and windows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.priors.colours import oklab

Array = NDArray[np.float64]

PIXELS = 20_000
SOLID = 128  # smallest alpha of a pixel that counts
DARKEST = 0.25  # L below which hue is noise
LIGHTNESS = 0.25  # weight of a difference in L relative to one in a/L
BINS = 0.025  # size of the histogram's bins
NEAR = 0.075  # distance within which a pixel has the colour: red in shade is closer to red, orange is not
VIVID = 0.25  # distance from grey of a vivid colour
IN_LIGHT = 0.6  # the colour is the median of the pixels lighter than this quantile


def main_colour(views: NDArray[np.uint8]) -> tuple[tuple[float, float, float], float]:
    """The main colour of an object in the light, sRGB in [0,1], and the share of the object that has it.

    `views` (C,S,S,4) uint8 have straight alpha.  Empty pictures give grey, with a share of 0.
    """
    pixels = views[views[..., 3] >= SOLID][:, :3] / 255
    if len(pixels) == 0:
        return (0.5, 0.5, 0.5), 0.0
    pixels = pixels[:: max(1, len(pixels) // PIXELS)]
    lab = oklab(pixels)
    places = np.concatenate([LIGHTNESS * lab[:, :1], lab[:, 1:] / np.maximum(lab[:, :1], DARKEST)], 1)
    near = np.linalg.norm(places - _peak(places), axis=1) < NEAR
    lightness = lab[near, 0]
    red, green, blue = np.median(pixels[near][lightness >= np.quantile(lightness, IN_LIGHT)], 0).round(3).tolist()
    return (red, green, blue), round(float(near.mean()), 3)


def _peak(places: Array) -> Array:
    """The densest place of the points (N,3), where vivid ones count up to twice."""
    _, cell, counts = np.unique(np.round(places / BINS), axis=0, return_inverse=True, return_counts=True)
    centres = np.stack([np.bincount(cell.reshape(-1), axis) / counts for axis in places.T], -1)
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    mass = (counts * np.exp(-np.square(distances / (NEAR / 2)) / 2)).sum(1)
    vivid = np.minimum(np.linalg.norm(centres[:, 1:], axis=1) / VIVID, 1)
    best = centres[np.argmax(mass * (1 + vivid))]
    return np.asarray(places[np.linalg.norm(places - best, axis=1) < NEAR / 2].mean(0))
