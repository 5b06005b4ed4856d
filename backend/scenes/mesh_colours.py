"""The colours that one sees on a mesh: of its texture, its vertices, its faces or its material, else grey.

In glTF they are multiplied in linear light, as its specification has it.  In other formats the finest goes: the
texture, else the vertices, else the material.  Vertices that are white all over say nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COLOUR = "splatsmith_colour"  # the vertices' colours (V,3) in [0,1], linear in glTF, among a mesh's vertex attributes
GREY = 0.5


def surface_colours(mesh: Any, faces: NDArray[np.int64], barycentric: Array, linear: bool) -> Array:
    """Colours (N,3) of points on faces (N,) with barycentric coordinates (N,3)."""
    visual, corners = mesh.visual, mesh.faces[faces]
    painted = mesh.vertex_attributes.get(COLOUR)
    if painted is not None and visual.kind == "texture" and not linear and (painted == 1).all():
        painted = None
    paint = None if painted is None else (painted[corners] * barycentric[..., None]).sum(1)
    if visual.kind == "texture":
        uv = None if visual.uv is None else (visual.uv[corners] * barycentric[..., None]).sum(1)
        return _material_colours(visual.material, uv, len(faces), linear, paint)
    if paint is not None:
        return seen(paint, linear)
    if visual.kind == "vertex":
        return seen((visual.vertex_colors[corners, :3] / 255 * barycentric[..., None]).sum(1), linear)
    if visual.kind == "face":
        return seen(visual.face_colors[faces, :3] / 255, linear)
    return np.full((len(faces), 3), GREY)


def picture_of(material: Any) -> Any:
    """The image that is a material's colour, None where there is none."""
    return getattr(material, "baseColorTexture" if hasattr(material, "baseColorTexture") else "image", None)


def _material_colours(material: Any, uv: Array | None, count: int, linear: bool, paint: Array | None) -> Array:
    """The texture at uv (N,2), the material's factor and the paint (N,3), as the format has them."""
    from trimesh.visual.color import srgb_to_linear, uv_to_interpolated_color

    image = picture_of(material)
    texture: Array | None = None if image is None or uv is None else uv_to_interpolated_color(uv, image)[:, :3] / 255
    if not linear:
        plain = np.tile(material.main_color[:3] / 255, (count, 1)) if paint is None else paint
        return plain if texture is None else texture
    # What glTF does not say is white; trimesh's own default is a dark grey.
    told = getattr(material, "baseColorFactor", None) is not None
    if texture is not None and not told and paint is None:
        return texture
    light = np.ones((count, 3)) if texture is None else srgb_to_linear(texture)
    return seen(light * (material.main_color[:3] / 255 if told else 1) * (1 if paint is None else paint), True)


def point_colours(cloud: Any, linear: bool) -> Array:
    """Colours (N,3) of a PointCloud, or of a mesh that has no faces."""
    painted = getattr(cloud, "vertex_attributes", {}).get(COLOUR)
    if painted is not None:
        return seen(np.asarray(painted), linear)
    colours = getattr(cloud, "colors", None)
    if colours is None or len(colours) != len(cloud.vertices):
        return np.full((len(cloud.vertices), 3), GREY)
    return seen(colours[:, :3] / 255, linear)


def seen(colours: Array, linear: bool) -> Array:
    """Linear colours as one sees them."""
    from trimesh.visual.color import linear_to_srgb

    return np.clip(linear_to_srgb(colours), 0, 1) if linear else colours
