"""Reduces image textures to the spacing of the discs that will carry their colours.

A disc has the colour of one point.  From a picture with details finer than the discs' spacing, print on a calendar or
the weave of a rug, it would get a random one of the colours, which looks like noise.  So each picture is first averaged
down (Williams, "Pyramidal parametrics", SIGGRAPH 1983) to one texel per disc.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from backend.scenes.meshes import Surface

ATTRIBUTES = ("baseColorTexture", "image")  # for the picture in glTF's materials, and in all others


def averaged(surface: Surface, spacing: float) -> Surface:
    """The surface with its textures averaged to about one texel per `spacing`, in the surface's own units."""
    return replace(surface, meshes=[_averaged(mesh, spacing) for mesh in surface.meshes])


def _averaged(mesh: Any, spacing: float) -> Any:
    material = getattr(mesh.visual, "material", None)
    attribute = next((name for name in ATTRIBUTES if getattr(material, name, None) is not None), None)
    if attribute is None or getattr(mesh.visual, "uv", None) is None:
        return mesh
    image = getattr(material, attribute)
    factor = spacing * _texels_per_unit(mesh, image)
    if factor <= 1:
        return mesh
    size = [max(1, round(side / factor)) for side in image.size]
    coarse = mesh.copy()
    setattr(coarse.visual.material, attribute, image.convert("RGBA").resize(size, Image.Resampling.BOX))
    return coarse


def _texels_per_unit(mesh: Any, image: Any) -> float:
    """Texels of the picture per unit of length, on average over the mesh."""
    a, b, c = mesh.visual.uv[mesh.faces].swapaxes(0, 1)
    across = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    texels = float(np.abs(across).sum()) / 2 * image.width * image.height
    return math.sqrt(texels / max(float(mesh.area), 1e-30))
