"""The visible colours of a mesh: from its texture, vertices, faces or material, else grey.

In glTF they are multiplied in linear light, as specified.  In other formats the most detailed is used: the texture,
else the vertices, else the material.  Vertex colours that are all white are ignored.
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
    of_vertices = mesh.vertex_attributes.get(COLOUR)
    if of_vertices is not None and visual.kind == "texture" and not linear and (of_vertices == 1).all():
        of_vertices = None
    paint = None if of_vertices is None else (of_vertices[corners] * barycentric[..., None]).sum(1)
    if visual.kind == "texture":
        uv = None if visual.uv is None else (visual.uv[corners] * barycentric[..., None]).sum(1)
        return _material_colours(visual.material, uv, len(faces), linear, paint)
    if paint is not None:
        return as_srgb(paint, linear)
    if visual.kind == "vertex":
        return as_srgb((visual.vertex_colors[corners, :3] / 255 * barycentric[..., None]).sum(1), linear)
    if visual.kind == "face":
        return as_srgb(visual.face_colors[faces, :3] / 255, linear)
    return np.full((len(faces), 3), GREY)


def picture_of(material: Any) -> Any:
    """The colour image of a material; None if it has none."""
    return getattr(material, "baseColorTexture" if hasattr(material, "baseColorTexture") else "image", None)


def _material_colours(material: Any, uv: Array | None, count: int, linear: bool, paint: Array | None) -> Array:
    """The texture at uv (N,2), the material's factor and vertex colours `paint` (N,3), combined as in the format."""
    from trimesh.visual.color import srgb_to_linear, uv_to_interpolated_color

    image = picture_of(material)
    texture: Array | None = None if image is None or uv is None else uv_to_interpolated_color(uv, image)[:, :3] / 255
    if not linear:
        plain = np.tile(material.main_color[:3] / 255, (count, 1)) if paint is None else paint
        return plain if texture is None else texture
    # A missing factor is white in glTF; trimesh's own default is a dark grey.
    has_factor = getattr(material, "baseColorFactor", None) is not None
    if texture is not None and not has_factor and paint is None:
        return texture
    light = np.ones((count, 3)) if texture is None else srgb_to_linear(texture)
    return as_srgb(light * (material.main_color[:3] / 255 if has_factor else 1) * (1 if paint is None else paint), True)


def point_colours(cloud: Any, linear: bool) -> Array:
    """Colours (N,3) of a PointCloud, or of a mesh that has no faces."""
    of_vertices = getattr(cloud, "vertex_attributes", {}).get(COLOUR)
    if of_vertices is not None:
        return as_srgb(np.asarray(of_vertices), linear)
    colours = getattr(cloud, "colors", None)
    if colours is None or len(colours) != len(cloud.vertices):
        return np.full((len(cloud.vertices), 3), GREY)
    return as_srgb(colours[:, :3] / 255, linear)


def as_srgb(colours: Array, linear: bool) -> Array:
    """Colours as sRGB; `linear` ones are converted."""
    from trimesh.visual.color import linear_to_srgb

    return np.clip(linear_to_srgb(colours), 0, 1) if linear else colours
