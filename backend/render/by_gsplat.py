"""`rasterization` on CUDA by gsplat's own kernels, where they have been compiled already."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor


@cache
def gsplat_is_built() -> bool:
    """Whether gsplat's extension is there: in its wheel, or compiled by an earlier call.

    To ask gsplat itself would start a compilation of a quarter of an hour, or fail where there is no compiler.
    """
    from torch.utils.cpp_extension import _get_build_directory

    if importlib.util.find_spec("gsplat.csrc") is not None:
        return True
    built = Path(_get_build_directory("gsplat_cuda", verbose=False)).glob("gsplat_cuda.*")
    return any(file.suffix in (".so", ".pyd") for file in built)


def by_gsplat(*given: Tensor | int, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """As `base.rasterization`, whose arguments are gsplat's; unpacked, so that `info` has the CPU's shapes."""
    from gsplat import rasterization

    pixels, alphas, info = rasterization(*given, packed=False, **options)
    return pixels, alphas, info
