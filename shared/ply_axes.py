"""Turns splats between our axes (Z up, front at -Y) and those of 3D Gaussian Splatting's files (-Y up, front at -Z).

It is a quarter turn about X: our (x, y, z) is (x, -z, y) in a file.  A splat's rotation and scales are both
transformed, R' = P R P^T and S' = P S P^T, so that numbers only change places and signs, and come back bit for bit.
Only harmonics of degree 2 and 3 are mixed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Four = tuple[Floats, Floats, Floats, Floats]  # means (N,3), quats (N,4) wxyz, scales (N,3) or their logs, sh (N,K,3)

# The line of the header that says how a file of ours stands; the number of harmonics follows it.
HEADER_COMMENT = "comment splatsmith: x right, y down, z back (-Y is up, as in 3DGS)"
TO_FILE = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # P: from ours to the file's
DIRECTIONS = 64


def to_y_down(means: Floats, quats: Floats, scales: Floats, sh: Floats) -> Four:
    """Our splats with the axes of a file."""
    x, y, z = means.T
    w, i, j, k = quats.T
    return np.stack([x, -z, y], 1), np.stack([w, i, -k, j], 1), scales[:, [0, 2, 1]], _mix_harmonics(sh, TO_FILE)


def to_z_up(means: Floats, quats: Floats, scales: Floats, sh: Floats) -> Four:
    """A file's splats with our axes."""
    x, y, z = means.T
    w, i, j, k = quats.T
    return np.stack([x, z, -y], 1), np.stack([w, i, k, -j], 1), scales[:, [0, 2, 1]], _mix_harmonics(sh, TO_FILE.T)


def ply_columns(harmonics: int, normals: bool = True) -> list[str]:
    """The columns of a 3DGS file in order.  Our own older files, which have no HEADER_COMMENT, are without normals."""
    rest = [f"f_rest_{i}" for i in range(3 * (harmonics - 1))]
    colour = ["f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity"]
    shape = [f"scale_{i}" for i in range(3)] + [f"rot_{i}" for i in range(4)]
    return [*"xyz", *(("nx", "ny", "nz") if normals else ()), *colour, *shape]


def read_convention(header: list[str], names: list[str], foreign: bool = False) -> tuple[bool, int]:
    """Whether a file has -Y up, and how many of its harmonics to use (0: all).

    Our files say both in their header.  A file without any comment and with exactly the columns of our older files is
    one of those, Z up.  `foreign` is for files from anywhere: then this holds only without f_rest_* columns, because
    other tools write such files with them.
    """
    own = next((line for line in header if line.startswith(HEADER_COMMENT)), None)
    if own is not None:
        count = own.rpartition(" ")[2]
        return True, int(count) if count in ("1", "4", "9", "16") else 0
    silent = not any(line.startswith(("comment", "obj_info")) for line in header)
    old = [ply_columns(harmonics, normals=False) for harmonics in ((1,) if foreign else (1, 4, 9, 16))]
    return not (silent and names in old), 0


def _mix_harmonics(sh: Floats, turn: NDArray[np.float64]) -> Floats:
    """The harmonics (N,K,3) of splats after they were turned by a matrix."""
    if sh.shape[1] == 1:
        return sh
    mixed: Floats = np.einsum("jk,nkc->njc", _mixing_matrix(turn is TO_FILE, sh.shape[1]), sh).astype(np.float32)
    return mixed


@cache
def _mixing_matrix(to_file: bool, count: int) -> NDArray[np.float64]:
    """The matrix M (K,K) for which harmonics h seen along d give the same colour as M h seen along the turned d."""
    turn = TO_FILE if to_file else TO_FILE.T
    rng = np.random.default_rng(0)
    d = rng.normal(size=(DIRECTIONS, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    found = np.linalg.lstsq(_harmonics(d @ turn.T, count), _harmonics(d, count), rcond=None)[0]
    return np.where(np.abs(found - found.round()) < 1e-9, found.round(), found)


def _harmonics(d: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The first `count` of 3DGS's real spherical harmonics along unit vectors (N,3), factors left out: (N,K).

    Within a degree the factors are those of 3DGS up to a common one, which is enough for a rotation.
    """
    x, y, z = d.T
    one = np.ones_like(x)
    first = [one, -y, z, -x]
    r3, r15 = np.sqrt(3), np.sqrt(15)
    second = [r3 * x * y, -r3 * y * z, (2 * z * z - x * x - y * y) / 2, -r3 * x * z, r3 / 2 * (x * x - y * y)]
    third = [
        -np.sqrt(5 / 8) * y * (3 * x * x - y * y),
        r15 * x * y * z,
        -np.sqrt(3 / 8) * y * (4 * z * z - x * x - y * y),
        z * (2 * z * z - 3 * x * x - 3 * y * y) / 2,
        -np.sqrt(3 / 8) * x * (4 * z * z - x * x - y * y),
        r15 / 2 * z * (x * x - y * y),
        -np.sqrt(5 / 8) * x * (x * x - 3 * y * y),
    ]
    return np.stack((first + second + third)[:count], 1)
