"""Alpha compositing of projected Gaussians on the CPU, compiled by numba: forward and backward.

    pixel = Σ_i w_i f_i + T background,   w_i = a_i T_i,   T_{i+1} = T_i (1 - a_i),   a_i = opacity_i exp(-s_i),

from front to back, f = (red, green, blue, depth), s = (p (dx + q dy)² + r dy²) / 2 at the pixel's centre.  gsplat's
rules: a is cut at 0.999, a < 1/255 is skipped, and a pixel is closed before T would fall to 1e-4.

The picture is cut into bands of rows, each with its own depth-ordered list and its own thread, and a band's rows into
blocks of LANES pixels, which the compiler turns into vector instructions.  A Gaussian visits only the blocks that its
ellipse a >= 1/255 meets.  Both passes walk from front to back: behind Gaussian i the backward pass needs only T and the
rest R_i = Σ_{j>i} w_j <f_j, g> + T <background, g>, so nothing is stored per pair of Gaussian and pixel.

This file imports no compiled function, as numba's cache only checks the date of the caller's file.
"""

# mypy: disable-error-code="untyped-decorator"

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

# OpenMP's threads spin between calls and slow down torch's; tbb is not installed everywhere.
numba.config.THREADING_LAYER = "workqueue"

Array = NDArray[Any]
Arrays = tuple[Array, ...]
Real = Any  # compiled code does not distinguish numpy's scalars from Python's
f32, i32, u64 = np.float32, np.int32, np.uint64
LANES = 8  # pixels of a block: one AVX register of float32
BAND_ROWS = 16  # rows of a band
CHANNELS = 4  # unrolled in the compiled code
MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE = f32(0.999), f32(1 / 255), f32(1e-4)
ZERO, HALF, ONE = f32(0), f32(0.5), f32(1)

# All of fastmath except nnan and ninf: comparisons must fail on NaN, or bad parameters would corrupt memory.
_FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
_compiled = numba.njit(fastmath=_FAST, error_model="numpy", nogil=True, cache=True)
_parallel = numba.njit(fastmath=_FAST, error_model="numpy", nogil=True, cache=True, parallel=True)
_inline = numba.njit(inline="always")


class Splat(NamedTuple):
    """A Gaussian on the picture plane; a >= 1/255 where 2 s <= reach, which its box of pixels holds."""

    x: Real
    y: Real
    p: Real
    q: Real
    r: Real
    opacity: Real
    reach: Real
    feature: tuple[Real, Real, Real, Real]
    box: tuple[Real, Real, Real, Real]  # first row, one past the last, first column, one past the last


@_inline
def _load(splats: Arrays, c: int, i: int) -> Splat:
    means2d, factors, opacities, features, bounds = splats
    p, q, r, opacity = factors[c, i, 0], factors[c, i, 1], factors[c, i, 2], opacities[c, i]
    feature = (features[c, i, 0], features[c, i, 1], features[c, i, 2], features[c, i, 3])
    box = (bounds[c, i, 0], bounds[c, i, 1], bounds[c, i, 2], bounds[c, i, 3])
    reach = f32(2) * math.log(f32(255) * opacity)
    return Splat(means2d[c, i, 0], means2d[c, i, 1], p, q, r, opacity, reach, feature, box)


@_inline
def _enter(splat: Splat, row: int, width: int) -> tuple[Real, Real, Real, Real]:
    """dy at a row, the row's part of s, and the first block and one past the last that the ellipse meets there."""
    dy = splat.y - (f32(row) + HALF)
    first, last = splat.box[2] // LANES, (splat.box[3] + LANES - 1) // LANES
    if last - first > 2:  # otherwise there is nothing to save
        half = math.sqrt(max(splat.reach - splat.r * dy * dy, ZERO) / splat.p)
        middle = splat.x + splat.q * dy
        # Clamp before the cast: the far end of a needle does not fit an integer.
        first = i32(min(max(middle - half + HALF, ZERO), f32(width))) // LANES
        last = (i32(min(max(middle + half + HALF, ZERO), f32(width))) + LANES - 1) // LANES
    return dy, HALF * splat.r * dy * dy, first, last


@_inline
def _exp(x: Real) -> Real:
    """exp on [-8, 0] within 2e-6: a polynomial for exp(x/16), squared four times; no branch, so it vectorises."""
    x = max(x, f32(-8)) * f32(0.0625)
    p = f32(0.04064245) + x * f32(0.00647312)
    p = ONE + x * (f32(0.99999857) + x * (f32(0.49996778) + x * (f32(0.16639899) + x * p)))
    p4 = (p * p) * (p * p)
    return (p4 * p4) * (p4 * p4)


@_inline
def _blend(planes: Array, start: int, splat: Splat, dx: Real, s_row: Real) -> Real:
    """Composite one Gaussian into one block; returns whether any of its pixels is still open.

    planes[start:] holds T and four channels, LANES values each; dx is the first pixel's dx + q dy; s_row is the row's
    part of s.  A closed pixel keeps its T, negated.
    """
    still_open = i32(0)
    for lane in range(LANES):
        at = start + u64(lane)
        x = dx - f32(lane)
        alpha = min(MAX_ALPHA, splat.opacity * _exp(-(s_row + HALF * splat.p * x * x)))
        before = planes[at]
        after = before - alpha * before
        drawn = alpha >= MIN_ALPHA and after > MIN_TRANSMITTANCE
        w = alpha * before if drawn else ZERO
        kept = after if drawn else (-abs(before) if alpha >= MIN_ALPHA else before)
        still_open |= i32(1) if kept > ZERO else i32(0)
        planes[at] = kept
        planes[at + u64(LANES)] += w * splat.feature[0]
        planes[at + u64(2 * LANES)] += w * splat.feature[1]
        planes[at + u64(3 * LANES)] += w * splat.feature[2]
        planes[at + u64(4 * LANES)] += w * splat.feature[3]
    return still_open


@_compiled
def _forward_band(splats: Arrays, c: int, ids: Array, backgrounds: Array, pictures: Arrays, top: int) -> None:
    pixels, transmittances = pictures
    height, width = pixels.shape[1:3]
    bottom, blocks = min(top + BAND_ROWS, height), (width + LANES - 1) // LANES
    cells = np.zeros((BAND_ROWS * blocks, 1 + CHANNELS, LANES), np.float32)
    cells[:, 0] = 1
    planes, is_open = cells.reshape(-1), np.ones(BAND_ROWS * blocks, np.int32)
    for i in ids:
        splat = _load(splats, c, i)
        for row in range(max(splat.box[0], top), min(splat.box[1], bottom)):
            dy, s_row, first, last = _enter(splat, row, width)
            for block in range(first, last):
                cell = u64((row - top) * blocks + block)
                if is_open[cell] != 0:
                    dx = splat.x + splat.q * dy - (f32(block * LANES) + HALF)
                    is_open[cell] = _blend(planes, cell * u64((1 + CHANNELS) * LANES), splat, dx, s_row)
    for row in range(top, bottom):
        for column in range(width):
            cell, lane = (row - top) * blocks + column // LANES, column % LANES
            transmittances[c, row, column] = through = abs(cells[cell, 0, lane])
            for channel in range(CHANNELS):
                pixels[c, row, column, channel] = cells[cell, 1 + channel, lane] + through * backgrounds[c, channel]


@_parallel
def forward(splats: Arrays, ids: Array, offsets: Array, backgrounds: Array, pictures: Arrays) -> None:
    """Fill the pictures: pixels (C,H,W,4) and transmittances (C,H,W).

    splats: means2d (C,N,2), factors (C,N,3), opacities (C,N), features (C,N,4) and `footprint`'s bounds (C,N,4), as
    are the ids and offsets; backgrounds (C,4).
    """
    bands = (pictures[0].shape[1] + BAND_ROWS - 1) // BAND_ROWS
    for task in numba.prange(len(offsets) - 1):
        own = ids[offsets[task] : offsets[task + 1]]
        _forward_band(splats, task // bands, own, backgrounds, pictures, task % bands * BAND_ROWS)


@_inline
def _unblend(planes: Array, start: int, splat: Splat, dx: Real, s_row: Real) -> tuple[Real, Any, Any]:
    """Process one block again; returns whether it is open, and its sums of v, v x, v x², and of w g.

    planes[start:] holds T, the rest R and the four gradients g of a pixel, LANES values each; v is dLoss/ds.
    """
    still_open = i32(0)
    v_1 = v_x = v_xx = w_0 = w_1 = w_2 = w_3 = ZERO
    for lane in range(LANES):
        at = start + u64(lane)
        x = dx - f32(lane)
        uncut = splat.opacity * _exp(-(s_row + HALF * splat.p * x * x))
        alpha = min(MAX_ALPHA, uncut)
        before = planes[at]
        after = before - alpha * before
        drawn = alpha >= MIN_ALPHA and after > MIN_TRANSMITTANCE
        w = alpha * before if drawn else ZERO
        kept = after if drawn else (-abs(before) if alpha >= MIN_ALPHA else before)
        still_open |= i32(1) if kept > ZERO else i32(0)
        g_0, g_1 = planes[at + u64(2 * LANES)], planes[at + u64(3 * LANES)]
        g_2, g_3 = planes[at + u64(4 * LANES)], planes[at + u64(5 * LANES)]
        own = g_0 * splat.feature[0] + g_1 * splat.feature[1] + g_2 * splat.feature[2] + g_3 * splat.feature[3]
        rest = planes[at + u64(LANES)] - w * own
        v = alpha * (rest / (ONE - alpha) - before * own)
        v = v if drawn and uncut <= MAX_ALPHA else ZERO
        planes[at] = kept
        planes[at + u64(LANES)] = rest
        v_1, v_x, v_xx = v_1 + v, v_x + v * x, v_xx + v * x * x
        w_0, w_1, w_2, w_3 = w_0 + w * g_0, w_1 + w * g_1, w_2 + w * g_2, w_3 + w * g_3
    return still_open, (v_1, v_x, v_xx), (w_0, w_1, w_2, w_3)


@_inline
def _load_pixels(cells: Array, pictures: Arrays, c: int, top: int, bottom: int) -> None:
    """Fill a band's blocks with T = 1, R = all that is to come, and g."""
    pixels, transmittances, grad_pixels, grad_transmittances = pictures
    blocks = (pixels.shape[2] + LANES - 1) // LANES
    for row in range(top, bottom):
        for column in range(pixels.shape[2]):
            cell, lane = (row - top) * blocks + column // LANES, column % LANES
            rest = transmittances[c, row, column] * grad_transmittances[c, row, column]
            for channel in range(CHANNELS):
                cells[cell, 2 + channel, lane] = grad_pixels[c, row, column, channel]
                rest += pixels[c, row, column, channel] * grad_pixels[c, row, column, channel]
            cells[cell, 0, lane], cells[cell, 1, lane] = ONE, rest


@_compiled
def _backward_band(splats: Arrays, c: int, ids: Array, pictures: Arrays, grads: Array, top: int) -> None:
    """Fill grads (len(ids),10) with the band's part: means2d 2, factors 3, opacity 1, features 4."""
    height, width = pictures[0].shape[1:3]
    bottom, blocks = min(top + BAND_ROWS, height), (width + LANES - 1) // LANES
    cells = np.zeros((BAND_ROWS * blocks, 2 + CHANNELS, LANES), np.float32)
    planes, is_open = cells.reshape(-1), np.ones(BAND_ROWS * blocks, np.int32)
    _load_pixels(cells, pictures, c, top, bottom)
    for rank in range(len(ids)):
        splat = _load(splats, c, ids[rank])
        s_1 = s_x = s_y = s_xx = s_xy = s_yy = g_0 = g_1 = g_2 = g_3 = ZERO
        for row in range(max(splat.box[0], top), min(splat.box[1], bottom)):
            dy, s_row, first, last = _enter(splat, row, width)
            r_1 = r_x = r_xx = ZERO
            for block in range(first, last):
                cell = u64((row - top) * blocks + block)
                if is_open[cell] != 0:
                    dx = splat.x + splat.q * dy - (f32(block * LANES) + HALF)
                    is_open[cell], v, w = _unblend(planes, cell * u64((2 + CHANNELS) * LANES), splat, dx, s_row)
                    r_1, r_x, r_xx = r_1 + v[0], r_x + v[1], r_xx + v[2]
                    g_0, g_1, g_2, g_3 = g_0 + w[0], g_1 + w[1], g_2 + w[2], g_3 + w[3]
            s_1, s_x, s_y = s_1 + r_1, s_x + r_x, s_y + r_1 * dy
            s_xx, s_xy, s_yy = s_xx + r_xx, s_xy + r_x * dy, s_yy + r_1 * dy * dy
        grads[rank, 0], grads[rank, 1] = splat.p * s_x, splat.p * splat.q * s_x + splat.r * s_y
        grads[rank, 2], grads[rank, 3], grads[rank, 4] = HALF * s_xx, splat.p * s_xy, HALF * s_yy
        grads[rank, 5] = -s_1 / splat.opacity
        grads[rank, 6], grads[rank, 7], grads[rank, 8], grads[rank, 9] = g_0, g_1, g_2, g_3


@_parallel
def backward(splats: Arrays, ids: Array, offsets: Array, pictures: Arrays, into: Arrays) -> None:
    """Add the gradients of means2d, factors, opacities and features to the arrays `into`.

    pictures: what `forward` filled, pixels and transmittances, and the gradients with respect to them.
    """
    bands = (pictures[0].shape[1] + BAND_ROWS - 1) // BAND_ROWS
    grads = np.empty((len(ids), 6 + CHANNELS), np.float32)
    for task in numba.prange(len(offsets) - 1):
        own = slice(offsets[task], offsets[task + 1])
        _backward_band(splats, task // bands, ids[own], pictures, grads[own], task % bands * BAND_ROWS)
    for c in numba.prange(len(pictures[0])):  # one thread per camera, as its bands share Gaussians
        for k in range(offsets[c * bands], offsets[(c + 1) * bands]):
            into[0][c, ids[k]] += grads[k, :2]
            into[1][c, ids[k]] += grads[k, 2:5]
            into[2][c, ids[k]] += grads[k, 5]
            into[3][c, ids[k]] += grads[k, 6:]
