"""The discrete part of drawing a mesh, on the CPU: which face a pixel sees, and where a silhouette runs beside it."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BAND_ROWS = 16  # of a picture that one thread draws
MOST_FACES_CROSSED = 32  # between two neighbouring pixels, on the way to a silhouette


@numba.njit(parallel=True, cache=True)
def visible(planes: Array, dets: Array, boxes: Array, xs: Array, ys: Array, near: Any, faces: Array, z: Array) -> None:
    """The nearest face at every pixel centre, of two at one depth that with the lower number.

    Args: as `mesh_geometry.FacesSeen` has them: planes (B,F,3,3), dets (B,F), boxes (B,F,4); xs (B,W) and ys (B,H).
    Written: faces (B,H,W), to begin with -1; z (B,H,W), to begin with infinity.
    """
    cameras, height, _ = faces.shape
    bands = (height + BAND_ROWS - 1) // BAND_ROWS
    for lane in numba.prange(cameras * bands):
        c, first = lane // bands, lane % bands * BAND_ROWS
        for f in range(planes.shape[1]):
            top, bottom = max(boxes[c, f, 2], first), min(boxes[c, f, 3], first + BAND_ROWS)
            e = planes[c, f]
            for i in range(top, bottom):
                y = ys[c, i]
                for j in range(boxes[c, f, 0], boxes[c, f, 1]):
                    x = xs[c, j]
                    a = x * e[0, 0] + y * e[0, 1] + e[0, 2]
                    b = x * e[1, 0] + y * e[1, 1] + e[1, 2]
                    d = x * e[2, 0] + y * e[2, 1] + e[2, 2]
                    if not ((a >= 0 and b >= 0 and d >= 0) or (a <= 0 and b <= 0 and d <= 0)):
                        continue
                    total = a + b + d
                    if total == 0:
                        continue
                    depth = dets[c, f] / total
                    if depth > near and depth < z[c, i, j]:
                        faces[c, i, j], z[c, i, j] = f, depth


@numba.njit(parallel=True, cache=True)
def silhouettes(
    planes: Array, dets: Array, neighbours: Array, xs: Array, ys: Array, faces: Array, z: Array, edges: Array
) -> None:
    """The silhouette between each pixel and its neighbour to the right and below.

    neighbours (F,3): the face beyond each edge, -1 where there is none.  Written: edges (B,2,H,W), to begin with -1:
    3 * face + edge, for pairs to the right and pairs below.
    """
    cameras, height, width = faces.shape
    for row in numba.prange(cameras * height):
        c, i = row // height, row % height
        for j in range(width):
            for below in range(2):
                k, m = i + below, j + 1 - below
                if k == height or m == width or faces[c, i, j] == faces[c, k, m]:
                    continue
                if z[c, i, j] <= z[c, k, m]:
                    face, ax, ay, bx, by = faces[c, i, j], xs[c, j], ys[c, i], xs[c, m], ys[c, k]
                else:
                    face, ax, ay, bx, by = faces[c, k, m], xs[c, m], ys[c, k], xs[c, j], ys[c, i]
                edges[c, below, i, j] = _walk(planes[c], dets[c], neighbours, face, ax, ay, bx, by)


@numba.njit(cache=True)
def _walk(planes: Array, dets: Array, neighbours: Array, face: int, ax: Any, ay: Any, bx: Any, by: Any) -> Any:
    """From a point on a face straight to another, from face to face, to the first edge beyond which there is none that
    is turned the same way; -1 where the other point comes first."""
    for _ in range(MOST_FACES_CROSSED):
        first, leaves, e = np.inf, -1, planes[face]
        ahead = dets[face] > 0
        for k in range(3):
            here, there = ax * e[k, 0] + ay * e[k, 1] + e[k, 2], bx * e[k, 0] + by * e[k, 1] + e[k, 2]
            if not ahead:
                here, there = -here, -there
            if there < 0 and here > there:
                share = here / (here - there)
                if share < first:
                    first, leaves = share, k
        if leaves < 0:
            return -1
        beyond = neighbours[face, leaves]
        if beyond < 0 or (dets[beyond] > 0) != ahead:
            return 3 * face + leaves
        face = beyond
    return -1
