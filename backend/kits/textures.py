"""Image textures made as coarse as the discs that will carry their colours.

A disc has the colour of one point.  Of a picture with finer grain than the discs are apart, print on a calendar or the
weave of a rug, it would get any of the colours by chance: noise.  So each picture is averaged down first (Williams,
"Pyramidal parametrics", SIGGRAPH 1983) to one texel a disc.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from backend.scenes.meshes import Surface

HOLDERS = ("baseColorTexture", "image")  # of glTF's materials and of all others


def averaged(surface: Surface, spacing: float) -> Surface:
    """The surface with its textures averaged to about a texel a `spacing`, which is in the surface's own units."""
    return replace(surface, meshes=[_averaged(mesh, spacing) for mesh in surface.meshes])


def _averaged(mesh: Any, spacing: float) -> Any:
    material = getattr(mesh.visual, "material", None)
    holder = next((name for name in HOLDERS if getattr(material, name, None) is not None), None)
    if holder is None or getattr(mesh.visual, "uv", None) is None:
        return mesh
    image = getattr(material, holder)
    factor = spacing * _texels_per_unit(mesh, image)
    if factor <= 1:
        return mesh
    size = [max(1, round(side / factor)) for side in image.size]
    coarse = mesh.copy()
    setattr(coarse.visual.material, holder, image.convert("RGBA").resize(size, Image.Resampling.BOX))
    return coarse


def _texels_per_unit(mesh: Any, image: Any) -> float:
    """How many texels of the picture lie along a unit of length, on average over the mesh."""
    a, b, c = mesh.visual.uv[mesh.faces].swapaxes(0, 1)
    across = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    texels = float(np.abs(across).sum()) / 2 * image.width * image.height
    return math.sqrt(texels / max(float(mesh.area), 1e-30))
