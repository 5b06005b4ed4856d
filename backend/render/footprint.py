"""The extent of each projected Gaussian in the picture, and the depth-sorted Gaussians of each band of rows.

A Gaussian is drawn inside the ellipse opacity exp(-s) >= 1/255, s = (p (dx + q dy)² + r dy²) / 2: half as wide as
sqrt(reach (q²/r + 1/p)), half as high as sqrt(reach/r), with reach = 2 ln(255 opacity).  NaN, infinite and
out-of-range values are only checked here, so that the compositing can trust its input.

No fastmath: comparisons with NaN must fail.
"""

# mypy: disable-error-code="untyped-decorator"

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Real = Any  # compiled code does not distinguish numpy's scalars from Python's
f32 = np.float32

MAX_REACH = f32(16)  # opacity 11.7, far above 1; the compositing's exp is valid down to exp(-8)
FAR_OFF = f32(1e6)  # pixels; beyond, float32 does not resolve a tenth of a pixel
ZERO, HALF, ONE = f32(0), f32(0.5), f32(1)

_compiled = numba.njit(error_model="numpy", nogil=True, cache=True)
_inline = numba.njit(inline="always")


@_compiled
def measure(
    means2d: Array, factors: Array, opacities: Array, features: Array, in_range: Array, bounds: Array, radii: Array,
    width: int, height: int,
) -> None:  # fmt: skip
    """Fill bounds (C,N,4): first and one past the last row, and column, of pixel centres in the ellipse's box, cut to
    the picture; and radii (C,N,2): its half-sizes in whole pixels.  Both are 0 for what is not to be drawn."""
    for c in range(len(radii)):
        for i in range(radii.shape[1]):
            x, y, p, q, r = means2d[c, i, 0], means2d[c, i, 1], factors[c, i, 0], factors[c, i, 1], factors[c, i, 2]
            reach = f32(2) * math.log(f32(255) * opacities[c, i])
            bounds[c, i], radii[c, i] = 0, 0
            if in_range[c, i] and _sane(x, y, p, q, r, reach) and _finite(features, c, i):
                half_x: Real = min(math.sqrt(reach * (q * q / r + ONE / p)), FAR_OFF)
                half_y: Real = min(math.sqrt(reach / r), FAR_OFF)
                radius_x, radius_y = math.ceil(half_x), math.ceil(half_y)
                if x + radius_x > ZERO and x - radius_x < width and y + radius_y > ZERO and y - radius_y < height:
                    radii[c, i, 0], radii[c, i, 1] = radius_x, radius_y
                    bounds[c, i, 0], bounds[c, i, 1] = _span(y, half_y, height)
                    bounds[c, i, 2], bounds[c, i, 3] = _span(x, half_x, width)


@_inline
def _sane(x: Real, y: Real, p: Real, q: Real, r: Real, reach: Real) -> Real:
    near = abs(x) < FAR_OFF and abs(y) < FAR_OFF
    return near and p > ZERO and r > ZERO and abs(q) < np.inf and reach > ZERO and reach < MAX_REACH


@_inline
def _finite(features: Array, c: int, i: int) -> Real:
    total = abs(features[c, i, 0]) + abs(features[c, i, 1]) + abs(features[c, i, 2]) + abs(features[c, i, 3])
    return total < np.inf


@_inline
def _span(middle: Real, half: Real, pixels: int) -> tuple[int, int]:
    """First pixel and one past the last of 0..pixels whose centres are within `half` of `middle`."""
    return max(0, math.ceil(middle - half - HALF)), min(pixels, math.floor(middle + half + HALF))


@_compiled
def sort_into_bands(bounds: Array, order: Array, band_rows: int, height: int, offsets: Array) -> Array:
    """Ids of the Gaussians in each band of rows, in the order (C,N) of their depth, by a counting sort.

    Band k, counted over all cameras, has the ids from offsets[k] to offsets[k+1]; offsets is filled.
    """
    bands = (height + band_rows - 1) // band_rows
    offsets[:] = 0
    ids = np.empty(0, np.int32)
    for filling in range(2):  # count first, then fill
        for c in range(len(order)):
            for rank in range(order.shape[1]):
                i = order[c, rank]
                first, last = bounds[c, i, 0], bounds[c, i, 1]
                if first < last and bounds[c, i, 2] < bounds[c, i, 3]:
                    for band in range(c * bands + first // band_rows, c * bands + (last - 1) // band_rows + 1):
                        if filling:
                            ids[offsets[band]] = i
                        offsets[band + 1 - filling] += 1
        if not filling:
            offsets[:] = np.cumsum(offsets)
            ids = np.empty(offsets[-1], np.int32)
    offsets[1:] = offsets[:-1].copy()  # filling moved every start to its end
    offsets[0] = 0
    return ids
