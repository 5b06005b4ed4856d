"""Read Gaussian splats from a PLY file with numpy alone.

The layout is that of 3D Gaussian Splatting (Kerbl et al. 2023): one row of little-endian numbers for each Gaussian,
`x y z`, `f_dc_0..2` (constant spherical harmonic), `f_rest_*` (the others: all of red, then green, then blue),
`opacity` (logit), `scale_0..2` (log of sigma) and `rot_0..3` (quaternion w, x, y, z).  In such files -Y is up; they are
turned so that Z is up (`shared.ply_axes` does that, and recognises our own older files, which have Z up already).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..shared.ply_axes import read_convention, to_z_up

Floats = NDArray[np.float32]

SH_C0 = 0.28209479177387814  # the constant spherical harmonic
HEADER_LIMIT = 1 << 16  # bytes
TYPES = {
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
    "uchar": "u1",
    "uint8": "u1",
    "int": "<i4",
}


class PlyError(ValueError):
    """The file holds no splats that we can read; one sentence that names it."""


@dataclass(frozen=True)
class SplatCloud:
    """N Gaussians with their activations applied.

    positions (N,3) and scales (N,3), the standard deviations, in metres; rotations (N,4), unit quaternions wxyz;
    opacities (N,) in [0,1]; sh (N,K,3), spherical harmonics of sRGB values.
    """

    positions: Floats
    rotations: Floats
    scales: Floats
    opacities: Floats
    sh: Floats

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def srgb(self) -> Floats:
        """The view-independent colour (N,3) as in a picture."""
        colour: Floats = np.clip(0.5 + SH_C0 * self.sh[:, 0], 0, 1)
        return colour

    @property
    def linear_rgb(self) -> Floats:
        """The view-independent colour (N,3) in Blender's linear space, which its Standard view turns back to sRGB."""
        srgb = self.srgb
        linear: Floats = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)
        return linear


def read_ply(path: Path) -> SplatCloud:
    """The splats of a file, Z up.

    Raises:
        PlyError: it is not a binary 3DGS PLY, is cut short, or holds a NaN.
        OSError: it cannot be opened.
    """
    content = path.read_bytes()
    row, count, start, lines = _header(path, content)
    if len(content) - start < count * row.itemsize:
        raise PlyError(f"{path} is cut short: copy or export it again.")
    rows = np.frombuffer(content, row, count, start)

    def columns(stem: str, indices: range | str) -> Floats:
        return np.stack([rows[f"{stem}{index}"] for index in indices], 1).astype(np.float32)

    rest = sum(name.startswith("f_rest_") for name in row.names or ())
    sh = columns("f_dc_", range(3))[:, None]
    if rest:
        sh = np.concatenate([sh, columns("f_rest_", range(rest)).reshape(count, 3, rest // 3).transpose(0, 2, 1)], 1)
    turned, harmonics = read_convention(lines, list(row.names or ()))
    parts = (columns("", "xyz"), columns("rot_", range(4)), columns("scale_", range(3)), sh[:, : harmonics or None])
    means, quats, log_scales, sh = to_z_up(*parts) if turned else parts
    cloud = SplatCloud(
        positions=means,
        rotations=quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12),
        scales=np.exp(log_scales),
        opacities=(0.5 + 0.5 * np.tanh(0.5 * rows["opacity"])).astype(np.float32),  # the logistic, without overflow
        sh=sh,
    )
    if not all(np.isfinite(values).all() for values in vars(cloud).values()):
        raise PlyError(f"{path} holds a NaN or an infinity: export the splats again.")
    return cloud


def _header(path: Path, content: bytes) -> tuple[np.dtype[np.void], int, int, list[str]]:
    """The type of one row, how many there are, where they begin, and the header's lines."""
    end = content.find(b"end_header\n", 0, HEADER_LIMIT)
    header = content[: max(end, 0)].decode("latin-1").splitlines()
    lines = [line.split() for line in header]
    elements = [line[1:] for line in lines if line[:1] == ["element"]]
    properties = [line[1:] for line in lines if line[:1] == ["property"]]
    binary = ["format", "binary_little_endian", "1.0"] in lines
    splats = len(elements) == 1 and elements[0][0] == "vertex" and elements[0][-1].isdecimal()
    if lines[:1] != [["ply"]] or not binary or not splats:
        raise PlyError(f"{path} is not a binary PLY of Gaussian splats.")
    if any(len(line) != 2 or line[0] not in TYPES for line in properties):
        raise PlyError(f"{path} has properties of a kind that splats do not have; export it as a 3DGS PLY.")
    names = [name for _, name in properties]
    if len(set(names)) < len(names):
        raise PlyError(f"{path} has a property twice; export it as a 3DGS PLY.")
    needed = {"x", "y", "z", "opacity", *(f"f_dc_{i}" for i in range(3)), *(f"scale_{i}" for i in range(3))}
    missing = sorted((needed | {f"rot_{i}" for i in range(4)}) - set(names))
    if missing:
        raise PlyError(f"{path} has no {', '.join(missing)}: it is not a PLY of Gaussian splats.")
    row = np.dtype([(name, TYPES[kind]) for kind, name in properties])
    return row, int(elements[0][-1]), end + len(b"end_header\n"), header
