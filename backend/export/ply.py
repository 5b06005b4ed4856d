"""Splats on disk in the PLY layout of 3D Gaussian Splatting (Kerbl et al. 2023), by `gsply`.

One float32 row for each Gaussian: x, y, z, f_dc_* (constant harmonic), f_rest_* (the others, all of red, then
green, then blue), opacity (logit), scale_* (log of sigma), rot_* (quaternion w, x, y, z).  Every viewer and
Blender add-on for splats reads it.  The values are stored as they are, so that a file reads back bit for bit.
"""

from __future__ import annotations

from pathlib import Path

import gsply
import numpy as np
import torch
from torch import Tensor

from backend.export.files import ExportError, replacing
from backend.scenes.splats import Splats

HARMONICS = (1, 4, 9, 16)
HEADER_LIMIT = 1 << 16


def write_ply(splats: Splats, path: str | Path) -> None:
    """Write N splats (SH degree 0 to 3) as a binary 3DGS PLY; an existing file is replaced only when all went well.

    Raises:
        ExportError: a parameter is not finite, or the harmonics are not 1, 4, 9 or 16.
        OSError: the disk is full or the folder cannot be written.
    """
    if not splats.finite():
        raise ExportError(f"{path} was not written: the splats hold a NaN or an infinity; export an earlier state.")
    if splats.sh.shape[1] not in HARMONICS:
        raise ExportError(f"{path} was not written: sh has {splats.sh.shape[1]} harmonics, but PLY takes {HARMONICS}.")
    means, quats, scales, opacities, sh = (
        value.detach().cpu().numpy().astype(np.float32)
        for value in (splats.means, splats.quats, splats.log_scales, splats.opacity_logits, splats.sh)
    )
    rest = sh[:, 1:] if sh.shape[1] > 1 else None
    data = gsply.GSData.from_arrays(means, scales, quats, opacities, sh[:, 0], rest, format="ply")
    with replacing(path) as temporary:
        gsply.plywrite(temporary, data)


def read_ply(path: str | Path) -> Splats:
    """Read a 3DGS PLY, plain or in PlayCanvas' compressed form, as float32 splats on the CPU.

    Raises:
        ExportError: the file is no such PLY, is cut short, or holds a NaN.
        OSError: the file cannot be opened.
    """
    _check_layout(Path(path))
    try:
        data = gsply.plyread(path)
    except ValueError as error:
        raise ExportError(f"{path} is not a PLY of Gaussian splats, or it is cut short.") from error
    sh = np.concatenate([data.sh0[:, None], data.shN], 1)
    splats = Splats(*map(_tensor, (data.means, data.quats, data.scales, data.opacities, sh)))
    if not splats.finite():
        raise ExportError(f"{path} holds a NaN or an infinity: export the splats again.")
    return splats


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _check_layout(path: Path) -> None:
    """Refuse what gsply would misread: it trusts the header's counts and skips columns that are not floats."""
    with path.open("rb") as handle:
        head = handle.read(HEADER_LIMIT)
    header, end, _ = head.partition(b"end_header\n")
    lines = [line.split() for line in header.decode("latin-1").splitlines()]
    if lines[:1] != [["ply"]] or not end:
        raise ExportError(f"{path} is not a PLY of Gaussian splats.")
    names = {line[-1] for line in lines if line[:1] == ["property"]}
    if "packed_position" in names:  # compressed: gsply checks the chunks itself
        return
    floats = all(line[1] == "float" for line in lines if line[:1] == ["property"])
    match [line[1:] for line in lines if line[:1] == ["element"]]:
        case [["vertex", count]] if count.isdecimal() and floats and "rot_3" in names:
            size = len(header) + len(end) + 4 * len(names) * int(count)
        case _:
            raise ExportError(f"{path} is not a PLY of Gaussian splats.")
    if path.stat().st_size < size:
        raise ExportError(f"{path} is cut short: copy or export it again.")
