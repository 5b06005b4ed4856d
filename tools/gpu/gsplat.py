"""gsplat's kernels, compiled while other stages ran, beside our own: the same pictures, and which are faster."""

from __future__ import annotations

import os
import time

import torch

from backend.render.by_gsplat import by_gsplat
from backend.studies.bench.renderer import Renderer, renderers
from tools.gpu.building import with_extensions
from tools.gpu.kernels import SIDES, SIZES, VIEWS, compare, times
from tools.gpu.part import Part


def measure(part: Part) -> None:
    """Wait for the compilation, then compare and time."""
    if part.small:
        part.headline("gsplat's kernels need a card")
        return
    began = time.monotonic()
    built, failed = part.scratch / "gsplat-built", part.scratch / "gsplat-failed"
    while not built.exists():
        if failed.exists():
            raise RuntimeError("gsplat could not be compiled: see gsplat_build.log")
        if part.left < 15:
            raise TimeoutError("gsplat is still being compiled: see gsplat_build.log")
        time.sleep(0.5)
    part.put(waited=time.monotonic() - began)
    os.environ |= with_extensions({}, part.scratch)
    card = next(renderer for renderer in renderers() if renderer.name == "card")
    gsplat = Renderer("gsplat", by_gsplat, torch.device("cuda"))
    compare(part, gsplat, card)
    with part.attempt("times"):
        times(part, gsplat, SIZES, SIDES, VIEWS)
