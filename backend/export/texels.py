"""The two inner loops of texture baking: triangles to pixels, and pictures blended into texels."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Index = NDArray[np.int32]

GRAZING = 0.15  # cosine of the viewing angle below which a picture is not used for a texel
FAINT = 0.05  # alpha below which a picture shows background
SHARPNESS = 4  # power of that cosine in the blend: frontal pictures dominate, and transitions stay smooth


@numba.njit(cache=True)
def rasterise(corners: Array, height: int, width: int) -> tuple[Index, Array, Array]:
    """Triangles (F,3,3) of x and y in pixels and nearness 1/z -> the nearest triangle at every pixel centre.

    Returns the index of the face (height,width), -1 where there is none, its barycentric weights
    (height,width,3) on the screen, and the nearness (height,width), 0 where there is none.  1/z is linear on the
    screen (a perspective picture's depth buffer).
    """
    faces = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    nearness = np.zeros((height, width), np.float32)
    for f in range(len(corners)):
        a, b, c = corners[f, 0], corners[f, 1], corners[f, 2]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        left, right = min(a[0], b[0], c[0]), max(a[0], b[0], c[0])
        top, bottom = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
        for i in range(max(0, math.ceil(top - 0.5)), min(height - 1, math.floor(bottom - 0.5)) + 1):
            for j in range(max(0, math.ceil(left - 0.5)), min(width - 1, math.floor(right - 0.5)) + 1):
                x, y = j + 0.5, i + 0.5
                u = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                v = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                w = 1 - u - v
                near = u * a[2] + v * b[2] + w * c[2]
                if u >= 0 and v >= 0 and w >= 0 and near > nearness[i, j]:
                    faces[i, j], nearness[i, j] = f, near
                    weights[i, j, 0], weights[i, j, 1], weights[i, j, 2] = u, v, w
    return faces, weights, nearness


@numba.njit(parallel=True, cache=True)
def blend(
    points: Array, normals: Array, viewmats: Array, focal: float, pictures: Array, depths: Array, tolerance: float
) -> Array:
    """Sum of what the views see of each texel, (T,4): weight * rgb and weight.

    Args:
        points, normals: texels on the surface (T,3), (T,3) in the world.
        viewmats: world to camera (V,4,4); focal: in pixels, the principal point in the middle.
        pictures: (V,S,S,5): rgb, alpha and depth, all times alpha, so that alpha takes part in the weight.
        depths: (V,S,S), z of the nearest surface around each pixel; a texel farther away by more than
            `tolerance` is hidden.  A picture counts for less where its own depth differs by more than that, as in gaps
            between splats, where it shows what is behind.
    """
    size = pictures.shape[1]
    total = np.zeros((len(points), 4), np.float32)
    for t in numba.prange(len(points)):
        for v in range(len(viewmats)):
            m = viewmats[v]
            x, y, z = _transform(m, points[t])
            nx, ny, nz = _turn(m, normals[t])
            facing = -(nx * x + ny * y + nz * z) / math.sqrt(x * x + y * y + z * z)
            column, row = focal * x / z + size / 2 - 0.5, focal * y / z + size / 2 - 0.5
            j, i = math.floor(column), math.floor(row)
            if facing < GRAZING or z <= 0 or i < 0 or j < 0 or i + 1 >= size or j + 1 >= size:
                continue
            if z > depths[v, i, j] + tolerance:
                continue
            seen = _bilinear(pictures[v], i, j, row - i, column - j)
            if seen[3] < FAINT:
                continue
            behind = (seen[4] / seen[3] - z) / (2 * tolerance)
            weight = facing**SHARPNESS * math.exp(-behind * behind)
            for k in range(4):
                total[t, k] += weight * seen[k]
    return total


@numba.njit(cache=True)
def _bilinear(picture: Array, i: int, j: int, y: float, x: float) -> Any:
    """The picture's five channels at row i + y, column j + x."""
    a, b, c, d = (1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x
    p, q, r, s = picture[i, j], picture[i, j + 1], picture[i + 1, j], picture[i + 1, j + 1]
    return (
        a * p[0] + b * q[0] + c * r[0] + d * s[0],
        a * p[1] + b * q[1] + c * r[1] + d * s[1],
        a * p[2] + b * q[2] + c * r[2] + d * s[2],
        a * p[3] + b * q[3] + c * r[3] + d * s[3],
        a * p[4] + b * q[4] + c * r[4] + d * s[4],
    )


@numba.njit(cache=True)
def _transform(matrix: Array, point: Array) -> Any:
    x, y, z = _turn(matrix, point)
    return x + matrix[0, 3], y + matrix[1, 3], z + matrix[2, 3]


@numba.njit(cache=True)
def _turn(matrix: Array, vector: Array) -> Any:
    return (
        matrix[0, 0] * vector[0] + matrix[0, 1] * vector[1] + matrix[0, 2] * vector[2],
        matrix[1, 0] * vector[0] + matrix[1, 1] * vector[1] + matrix[1, 2] * vector[2],
        matrix[2, 0] * vector[0] + matrix[2, 1] * vector[1] + matrix[2, 2] * vector[2],
    )
