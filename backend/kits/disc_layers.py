"""Spaces discs evenly over a surface, layer by layer, and finds those hidden closely under others.

Models of furniture have many panels a millimetre thick, white outside and brown inside, doors just in front of their
cupboard, and doubled sheets.  Two problems arise.  Thinning out points without regard to layers leaves holes in each;
so only points of one layer are thinned against each other.  And splats are sorted by their centres: at an angle, a disc
of the lower layer covers the upper one where its centre is nearer, and the panel is speckled; so a layer less than
`DEEP` spacings under another is hidden from views from above it.  Deeper layers are sorted correctly: discs that cover
one pixel at an angle a have centres within 1.3 spacings of it, so depths are wrong where h / cos a < 2.6 sin a, which
is h < 1.3 at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.scenes.meshes import Array

PARALLEL = 0.8  # cosine
# Heights and distances in units of the spacing of the discs.
APART = 0.577  # least distance between points of a layer
LAYER = 0.15  # difference in height within one layer, which may be curved
DEEP = 1.5
BESIDE = 1.0  # sideways distance within which a disc covers another
TOUCHING = 1e-3


def thinned(points: Array, normals: Array, spacing: float) -> NDArray[np.bool_]:
    """Which of the points (N,3) with unit normals (N,3) to keep, so that no two of a layer are near each other."""
    pairs = cKDTree(points).query_pairs(APART * spacing, output_type="ndarray")
    one, other = pairs.T
    height = np.einsum("ij,ij->i", points[other] - points[one], normals[one]) / spacing
    along = np.einsum("ij,ij->i", normals[other], normals[one])
    pairs = pairs[(along > PARALLEL) & (abs(height) < LAYER)]
    crowd = np.bincount(pairs.reshape(-1), minlength=len(points))
    kept = np.ones(len(points), bool)
    kept[np.where(crowd[pairs[:, 0]] > crowd[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return kept


def hidden_sides(points: Array, normals: Array, spacing: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which discs (N,) are hidden from the side of their normal, and which from behind; points, unit normals (N,3)."""
    reach = spacing * float(np.hypot(DEEP, BESIDE))
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    upper, lower = np.concatenate([pairs, pairs[:, ::-1]]).T  # each of a pair may cover the other
    offset = (points[upper] - points[lower]) / spacing
    height = np.einsum("ij,ij->i", offset, normals[lower])
    beside = np.einsum("ij,ij->i", offset, offset) - height**2 < BESIDE**2
    along = np.einsum("ij,ij->i", normals[upper], normals[lower])
    covers = beside & (abs(height) < DEEP) & (abs(along) > PARALLEL)
    # Two sheets at one place with opposite normals are each visible from their own side.
    lowest = np.where(along < 0, -TOUCHING, LAYER)
    before, behind = np.zeros((2, len(points)), bool)
    before[lower[covers & (height > LAYER)]] = True
    behind[lower[covers & (height < -lowest)]] = True
    return before, behind
