"""Splats on disk in the PLY layout of 3D Gaussian Splatting (Kerbl et al. 2023).

One float32 row for each Gaussian: x, y, z, nx, ny, nz (zeros), f_dc_* (constant harmonic), f_rest_* (the 15 others, all
of red, then green, then blue), opacity (logit), scale_* (log of sigma), rot_* (quaternion w, x, y, z).  -Y is up, as in
every viewer and Blender add-on for splats; a comment in the header says so, and how many harmonics are not padding.
Values are only rotated (`shared.ply_axes`), so that a file reads back bit for bit.  `gsply` reads the files.
"""

from __future__ import annotations

from pathlib import Path

import gsply
import numpy as np
import torch
from torch import Tensor

from backend.files import ExportError, replacing
from backend.scenes.splats import Splats
from shared.ply_axes import HEADER_COMMENT, ply_columns, read_convention, to_y_down, to_z_up

HARMONICS = (1, 4, 9, 16)
HEADER_LIMIT = 1 << 16


def write_ply(splats: Splats, path: str | Path) -> None:
    """Write N splats (SH degree 0 to 3), Z up, as a binary 3DGS PLY; an existing file is replaced only on success.

    Raises:
        ExportError: a parameter is not finite, or the harmonics are not 1, 4, 9 or 16.
        OSError: the disk is full or the folder cannot be written.
    """
    if not splats.finite():
        raise ExportError(f"{path} was not written: the splats have NaN or infinite values; export an earlier state.")
    count = splats.sh.shape[1]
    if count not in HARMONICS:
        raise ExportError(f"{path} was not written: sh has {count} harmonics, but must have one of {HARMONICS}.")
    means, quats, scales, opacities, sh = (
        value.detach().cpu().numpy().astype(np.float32)
        for value in (splats.means, splats.quats, splats.log_scales, splats.opacity_logits, splats.sh)
    )
    means, quats, scales, sh = to_y_down(means, quats, scales, sh)
    full = np.zeros((len(sh), HARMONICS[-1], 3), np.float32)
    full[:, :count] = sh
    rest = full[:, 1:].transpose(0, 2, 1).reshape(len(sh), 3 * (HARMONICS[-1] - 1))
    rows = np.concatenate([means, np.zeros_like(means), full[:, 0], rest, opacities[:, None], scales, quats], 1)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"{HEADER_COMMENT}; harmonics {count}",
        f"element vertex {len(sh)}",
    ]
    header += [f"property float {name}" for name in ply_columns(HARMONICS[-1])]
    with replacing(path) as temporary:
        temporary.write_bytes("\n".join([*header, "end_header\n"]).encode() + rows.astype("<f4").tobytes())


def is_splats(path: Path) -> bool:
    """Whether a file is a PLY of splats, plain or compressed, by its header; OSError where it cannot be opened."""
    header = _header(path)[0]
    names = {line.split()[-1] for line in header if line.startswith("property ")}
    return "packed_position" in names or {"f_dc_0", "opacity", "scale_0", "rot_0"} <= names


def read_ply(path: str | Path, *, foreign: bool = False) -> Splats:
    """Read a 3DGS PLY, plain or in PlayCanvas' compressed form, as float32 splats on the CPU, Z up.

    For files of older versions of ours, and for `foreign`, see `read_convention`.

    Raises:
        ExportError: the file is not such a PLY, is truncated, or has a NaN.
        OSError: the file cannot be opened.
    """
    turned, count = _checked(Path(path), foreign)
    try:
        data = gsply.plyread(path)
    except ValueError as error:
        raise ExportError(f"{path} is not a PLY of Gaussian splats, or it is truncated.") from error
    sh = np.concatenate([data.sh0[:, None], data.shN], 1)[:, : count or None]
    parts = (data.means, data.quats, data.scales, sh)
    means, quats, scales, sh = to_z_up(*parts) if turned else parts
    splats = Splats(*map(_tensor, (means, quats, scales, data.opacities, sh)))
    if not splats.finite():
        raise ExportError(f"{path} has NaN or infinite values: export the splats again.")
    return splats


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _header(path: Path) -> tuple[list[str], int]:
    """The header's lines without `end_header`, and its length in bytes; nothing and 0 where it is not a PLY."""
    with path.open("rb") as handle:
        header, end, _ = handle.read(HEADER_LIMIT).partition(b"end_header\n")
    lines = header.decode("latin-1").splitlines()
    return (lines, len(header) + len(end)) if end and lines[:1] == ["ply"] else ([], 0)


def _checked(path: Path, foreign: bool) -> tuple[bool, int]:
    """What the header says, see `read_convention`; ExportError for files that gsply would misread.

    gsply trusts the header's counts and skips columns that are not floats.
    """
    header, start = _header(path)
    if not header:
        raise ExportError(f"{path} is not a PLY of Gaussian splats.")
    properties = [line.split() for line in header if line.startswith("property ")]
    names = [words[-1] for words in properties]
    orientation = read_convention(header, names, foreign)
    if "packed_position" in names:  # compressed: gsply checks the chunks itself
        return orientation
    floats = all(words[1] == "float" for words in properties)
    match [line.split()[1:] for line in header if line.startswith("element ")]:
        case [["vertex", count]] if count.isdecimal() and floats and "rot_3" in names:
            size = start + 4 * len(names) * int(count)
        case _:
            raise ExportError(f"{path} is not a PLY of Gaussian splats.")
    if path.stat().st_size < size:
        raise ExportError(f"{path} is truncated: copy or export it again.")
    return orientation
