"""From a density field of hollow, leaky shells to solid bodies.

Trained splats are usually shells, and at the level that fits the pictures a shell is full of pinholes: marching cubes
would return both of its walls and thousands of tunnels.  So the set {D > level} is first closed with a ball (dilate,
fill what is enclosed, erode: what a ball rolled over the outside cannot reach becomes solid).  A closing never removes
anything, so thin sheets and legs survive it.  The ball is the smallest that closes the hollows which a large one
closes; an object without hollows gets the smallest, which bridges gaps of at most three voxels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from backend.export.density_field import Field
from backend.export.views import Array

# Radii in voxels.  Their squares are not integers, so no distance between voxels equals a radius.
RADII = (1.7, 3.3, 5.2)
CRUMB = 0.005  # share of the volume below which a body is taken for stray splats
PEAK = 0.5  # in voxels: how far dense spots may stand out of the closed shell

Mask = NDArray[np.bool_]


def enclosed(empty: Mask) -> Mask:
    """The parts of the empty space (X,Y,Z) that are not connected to its corner."""
    regions, _ = label(empty)
    return np.asarray(empty & (regions != regions[0, 0, 0]))


def closed(field: Field, level: float) -> Field:
    """A field, in voxels, whose set above 0 is {D > level} after the closing; its slope at the surface is about 1."""
    gaps = distance_transform_edt(field.values <= level)
    hollow = enclosed(gaps >= RADII[-1])
    radius = next(r for r in RADII if 2 * (enclosed(gaps >= r) & hollow).sum() >= hollow.sum())
    wrap = (gaps < radius) | enclosed(gaps >= radius)
    depth = distance_transform_edt(wrap) - radius
    return Field(np.maximum(np.minimum(field.values / level - 1, PEAK), depth).astype(np.float32), *_place(field))


def large_bodies(field: Field, level: float) -> tuple[Field, float]:
    """The field minus `level` with its large bodies above 0: hollows filled, crumbs removed.

    Bodies are joined through voxels that share a face, and so is the outside; the surface between two such regions
    is in one piece.  An object may have several: a wheel whose spokes are thinner than a voxel.  Also returns the share
    of the volume that was removed.
    """
    values = field.values - np.float32(level)
    values = np.where(enclosed(values <= 0), np.float32(1), values)
    bodies, _ = label(values > 0)
    sizes = np.bincount(bodies.ravel())[1:]
    crumbs = sizes < CRUMB * sizes.sum()
    crumbs[sizes.argmax()] = False
    loose = np.concatenate([[False], crumbs])[bodies]
    return Field(np.where(loose, np.float32(-1), values), *_place(field)), float(sizes[crumbs].sum() / sizes.sum())


def _place(field: Field) -> tuple[Array, float]:
    return field.origin, field.spacing
