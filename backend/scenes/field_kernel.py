"""`field_march` and `field_rays.sampled` for the CPU, one ray after another: four times as fast as torch's operations.

The gradient is summed up in LANES buffers, each with its own rays, and these in order: it is the same to the last bit
with any number of threads.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from backend.scenes.field_march import MOST
from backend.scenes.field_rays import BINS

Array = NDArray[Any]
Arrays = tuple[Any, ...]
Real = Any  # compiled code does not distinguish numpy's scalars from Python's
LANES = 4
f32, i32, u64 = np.float32, np.int32, np.uint64
DARK = f32(1e-4)  # of the light: what is behind is not seen
CEILING, DENSEST = f32(MOST), f32(math.exp(MOST))
ZERO, HALF, ONE, TWO, THREE = f32(0), f32(0.5), f32(1), f32(2), f32(3)

_FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}  # as in render/kernel.py
_compiled = numba.njit(fastmath=_FAST, error_model="numpy", nogil=True, cache=True)
_parallel = numba.njit(fastmath=_FAST, error_model="numpy", nogil=True, cache=True, parallel=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", forceinline=True)


@_parallel
def sample(
    origins: Array, directions: Array, near: Array, far: Array, coarse: Array, explore: float, jitter: Array,
    distances: Array, lengths: Array,
) -> None:  # fmt: skip
    """Where R rays (R,3), (R,3) are sampled between near and far (R,), by a coarse density (S,S,S) and jitter.

    Fills distances and lengths (R,K); a length of 0 is no sample.
    """
    side, count = len(coarse), distances.shape[1]
    for ray in numba.prange(len(origins)):
        width = (far[ray] - near[ray]) / BINS
        distances[ray] = near[ray]
        if width <= 0:
            continue
        share = np.zeros(BINS, np.float32)
        there = np.zeros(BINS, np.float32)
        light, seen, most = 1.0, 0.0, 0
        for i in range(BINS):
            t = near[ray] + (i + 0.5) * width
            x = min(max(int((origins[ray, 0] + t * directions[ray, 0] + 1) * side / 2), 0), side - 1)
            y = min(max(int((origins[ray, 1] + t * directions[ray, 1] + 1) * side / 2), 0), side - 1)
            z = min(max(int((origins[ray, 2] + t * directions[ray, 2] + 1) * side / 2), 0), side - 1)
            density = coarse[z, y, x]
            if density > 0:
                left = light * math.exp(-density * width)
                share[i], there[i] = light - left, 1
                seen += light - left
                light = left
                most += 1
        if most == 0:
            continue
        scale = (1 - explore) / max(seen, 1e-6)
        full = 0.0
        for i in range(BINS):
            share[i] = there[i] * (scale * share[i] + explore / most)
            full += share[i]
        _place(share, there, full, width, near[ray], jitter[ray], count, distances[ray], lengths[ray])


@_compiled
def _place(
    share: Array, there: Array, full: float, width: float, near: float, jitter: float, count: int, distances: Array,
    lengths: Array,
) -> None:  # fmt: skip
    """One sample in each of `count` equal parts of the distribution, and the occupied length of the part."""
    begun, filled, i, last = 0.0, 0.0, 0, 0.0  # the share and the occupied bins before bin i
    for k in range(2 * count):
        quantile = (k // 2 + (jitter if k % 2 == 0 else 1.0)) / count * full
        while i < BINS - 1 and begun + share[i] < quantile:
            begun += share[i]
            filled += there[i]
            i += 1
        inside = 0.0 if share[i] <= 0 else min(max((quantile - begun) / share[i], 0.0), 1.0)
        if k % 2 == 0:
            distances[k // 2] = near + (i + inside) * width
        else:
            length = (filled + inside * there[i]) * width
            lengths[k // 2] = max(length - last, 0.0)
            last = length


@_inline
def _cell(place: Real, side: Real) -> tuple[Real, Real]:
    """The corner below a place from -1 to 1, and how far it is to the next."""
    at = min(max((place + ONE) * (HALF * f32(side - 1)), ZERO), f32(side - 1))
    low = min(i32(at), i32(side - 2))
    return low, at - f32(low)


@_inline
def _eight(origins: Array, directions: Array, ray: Real, t: Real, side: Real) -> tuple[Real, Arrays]:
    """The row of the cell's first corner in a grid (side³,4), and the shares of its eight corners."""
    x, u = _cell(origins[ray, 0] + t * directions[ray, 0], side)
    y, v = _cell(origins[ray, 1] + t * directions[ray, 1], side)
    z, w = _cell(origins[ray, 2] + t * directions[ray, 2], side)
    a, b, c, d = (ONE - w) * (ONE - v), (ONE - w) * v, w * (ONE - v), w * v
    other = ONE - u
    return u64((z * side + y) * side + x), (a * other, a * u, b * other, b * u, c * other, c * u, d * other, d * u)


@_inline
def _corner(first: Real, side: Real, number: Real) -> Real:
    """The row of one of a cell's eight corners: two along x, then along y, then along z."""
    return first + u64(number & 1) + u64((number >> 1 & 1) * side) + u64((number >> 2) * side * side)


@_parallel
def forward(
    grid: Array, side: int, origins: Array, directions: Array, distances: Array, lengths: Array, depth: Array,
    values: Array, out: Array,
) -> None:  # fmt: skip
    """The light of R rays through a grid (side^3,4) of log-density and colour logits, at samples (R,K).

    Fills values (R,K,4), density and colour of each sample, and out (R,6): colour, alpha, depth along the view (`depth`
    (R,) is the cosine), distortion.
    """
    for ray in numba.prange(len(origins)):
        light, weight, reach, spread, red, green, blue = ONE, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
        for k in range(distances.shape[1]):
            length, t = lengths[ray, k], distances[ray, k]
            if length <= ZERO:
                continue
            first, shares = _eight(origins, directions, ray, t, side)
            s, r, g, b = ZERO, ZERO, ZERO, ZERO
            for number in range(8):
                row, share = _corner(first, side, number), shares[number]
                s += share * grid[row, 0]
                r += share * grid[row, 1]
                g += share * grid[row, 2]
                b += share * grid[row, 3]
            density = math.exp(min(s, CEILING))
            r, g, b = ONE / (ONE + math.exp(-r)), ONE / (ONE + math.exp(-g)), ONE / (ONE + math.exp(-b))
            values[ray, k, 0], values[ray, k, 1], values[ray, k, 2], values[ray, k, 3] = density, r, g, b
            left = light * math.exp(-density * length)
            part = light - left
            red, green, blue = red + part * r, green + part * g, blue + part * b
            spread += TWO * part * (t * weight - reach) + part * part * length / THREE
            weight += part
            reach += part * t
            light = left
            if light < DARK:
                break
        out[ray, 0], out[ray, 1], out[ray, 2], out[ray, 3] = red, green, blue, weight
        out[ray, 4], out[ray, 5] = reach * depth[ray], spread


@_parallel
def backward(
    side: int, origins: Array, directions: Array, distances: Array, lengths: Array, depth: Array, values: Array,
    given: Array, lanes: Array,
) -> None:  # fmt: skip
    """The gradient of the grid, for the gradient `given` (R,6) of `forward`'s out: added up in lanes (L,side^3,4).

    As many lanes as are added in a fixed order afterwards, so that the bits do not depend on the number of threads.
    """
    count = distances.shape[1]
    for lane in numba.prange(len(lanes)):
        parts, lights, worth = np.zeros(count, f32), np.zeros(count, f32), np.zeros(count, f32)
        for ray in range(lane, len(origins), len(lanes)):
            used = _worth(distances[ray], lengths[ray], depth[ray], values[ray], given[ray], parts, lights, worth)
            behind = ZERO  # what the samples behind are worth
            for k in range(used - 1, -1, -1):
                length, density, part = lengths[ray, k], values[ray, k, 0], parts[k]
                if length <= ZERO:
                    continue
                s = (lights[k] * worth[k] - behind) * length * density
                behind += part * worth[k]
                if density >= DENSEST:
                    s = ZERO
                r, g, b = values[ray, k, 1], values[ray, k, 2], values[ray, k, 3]
                r = part * given[ray, 0] * r * (ONE - r)
                g = part * given[ray, 1] * g * (ONE - g)
                b = part * given[ray, 2] * b * (ONE - b)
                first, shares = _eight(origins, directions, ray, distances[ray, k], side)
                for number in range(8):
                    row, share = _corner(first, side, number), shares[number]
                    lanes[lane, row, 0] += share * s
                    lanes[lane, row, 1] += share * r
                    lanes[lane, row, 2] += share * g
                    lanes[lane, row, 3] += share * b


@_compiled
def _worth(
    distances: Array, lengths: Array, depth: float, values: Array, given: Array, parts: Array, lights: Array,
    worth: Array,
) -> int:  # fmt: skip
    """The derivative by each sample's weight, its weight, and the light behind it; how many samples are seen."""
    light, weight, reach, used = ONE, ZERO, ZERO, 0
    for k in range(len(distances)):
        used, t = k + 1, distances[k]
        left = light * math.exp(-values[k, 0] * lengths[k])
        parts[k], lights[k] = light - left, left
        colour = given[0] * values[k, 1] + given[1] * values[k, 2] + given[2] * values[k, 3]
        worth[k] = colour + given[3] + given[4] * depth * t + given[5] * TWO * (t * weight - reach)
        weight += parts[k]
        reach += parts[k] * t
        light = left
        if light < DARK:
            break
    if given[5] != ZERO:
        front, front_reach = ZERO, ZERO
        for k in range(used):
            front += parts[k]
            front_reach += parts[k] * distances[k]
            behind = (reach - front_reach) - distances[k] * (weight - front)
            worth[k] += given[5] * TWO * (behind + parts[k] * lengths[k] / THREE)
    return used
