"""Makes an object of splats that renders in Cycles and EEVEE.

Blender 5.3 and later have Gaussian splats of their own: there the object is a point cloud of that type.  Before, it is
a mesh of vertices without faces, with named attributes and a Geometry Nodes modifier (see `splat_nodes`).

Both show sRGB colours through Blender's Standard view.  Blender blends the splats in linear light, while they
were optimised for blending in sRGB: soft edges come out a little lighter than in our own pictures.  The object
shows the view-independent colour; the native one has all harmonics.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast

import bpy
import numpy as np

from ..blender_types import attribute_items, data_of
from ..ply import SH_C0, Floats, SplatCloud
from .splat_nodes import RGBA, ROTATION, SCALE, splat_material, splat_nodes

MODIFIER = "Splats"  # the one with the cubes
KINDS = {ROTATION: "QUATERNION", SCALE: "FLOAT_VECTOR", RGBA: "FLOAT_COLOR"}  # what `splat_nodes` reads

# Each splat on a ray is two transparent bounces, one for each side of its cube.
TRANSPARENT_BOUNCES = 1024  # Cycles' most; its default of 8 makes everything behind four splats black
CERTAIN_BOUNCES = 64  # before Cycles ends rays at random; its default of 0 makes soft edges noisy


class Attribute(NamedTuple):
    """One attribute of the points: `values` (N, width) go into `field` of each of its items."""

    name: str
    data_type: str
    field: str
    values: Floats


def import_splats(cloud: SplatCloud, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """An object of N splats, linked to `collection`.  Positions are the object's own, in metres."""
    native = "type" in bpy.types.PointCloud.bl_rna.properties
    data = _point_cloud(cloud, name) if native else _vertices(cloud, name)
    obj = bpy.data.objects.new(name, data)
    collection.objects.link(obj)
    if not native:
        modifier: Any = obj.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = splat_nodes()
    return obj


def update_splats(obj: bpy.types.Object, cloud: SplatCloud) -> None:
    """Replace the splats of an object; its transform, modifiers and custom properties stay."""
    old = data_of(obj)
    obj.data = _point_cloud(cloud, old.name) if isinstance(old, bpy.types.PointCloud) else _vertices(cloud, old.name)
    if old.users == 0:
        name = old.name
        bpy.data.batch_remove([old])
        data_of(obj).name = name


def read_splats(obj: bpy.types.Object) -> SplatCloud | None:
    """The splats of an object that `import_splats` made before Blender 5.3, without harmonics; None for other objects.

    Also None if they cannot be read: in Edit Mode, or if an attribute was deleted or changed its type.
    """
    data = obj.data
    if not isinstance(data, bpy.types.Mesh) or data.is_editmode or any(map(partial(_differs, data), KINDS)):
        return None
    rgba = _read(data.attributes[RGBA], "color", 4)
    return SplatCloud(
        positions=_read(data.attributes["position"], "vector", 3),
        rotations=_read(data.attributes[ROTATION], "value", 4),
        scales=_read(data.attributes[SCALE], "vector", 3),
        opacities=rgba[:, 3].copy(),
        sh=((srgb(rgba[:, None, :3]) - 0.5) / SH_C0).astype(np.float32),
    )


def srgb(linear: Floats) -> Floats:
    """Linear values as the sRGB values of a picture."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055)


def _differs(data: bpy.types.Mesh, name: str) -> bool:
    """Whether an attribute is missing or not of the type that we made."""
    found = data.attributes.get(name)
    return found is None or (found.data_type, found.domain) != (KINDS[name], "POINT")


def _read(attribute: bpy.types.Attribute, field: str, width: int) -> Floats:
    items = attribute_items(attribute)
    values = np.empty(len(items) * width, np.float32)
    items.foreach_get(field, values)
    return values.reshape(-1, width)


def raise_transparency_limits(scene: bpy.types.Scene) -> None:
    """Raise Cycles' limits on transparent surfaces behind each other, so that F12 shows what the viewport shows."""
    if not hasattr(scene, "cycles"):
        return  # its add-on is switched off
    cycles: Any = scene.cycles
    cycles.transparent_max_bounces = max(cycles.transparent_max_bounces, TRANSPARENT_BOUNCES)
    cycles.min_transparent_bounces = max(cycles.min_transparent_bounces, CERTAIN_BOUNCES)


def object_attributes(cloud: SplatCloud) -> list[Attribute]:
    """What `splat_nodes` reads; colour linear, with the opacity as its alpha."""
    rgba = np.concatenate([cloud.linear_rgb, cloud.opacities[:, None]], 1)
    return [
        Attribute(ROTATION, KINDS[ROTATION], "value", cloud.rotations),
        Attribute(SCALE, KINDS[SCALE], "vector", cloud.scales),
        Attribute(RGBA, KINDS[RGBA], "color", rgba),
    ]


def native_attributes(cloud: SplatCloud) -> list[Attribute]:
    """What Blender's own splats read: `radiance:base` is the constant harmonic with the opacity, the rest follow."""
    base = np.concatenate([cloud.sh[:, 0], cloud.opacities[:, None]], 1)
    harmonics = (Attribute(f"radiance:sh_{k}", "FLOAT_VECTOR", "vector", v) for k, v in enumerate(_rest(cloud)))
    return [
        Attribute("rotation", "QUATERNION", "value", cloud.rotations),
        Attribute("scale", "FLOAT_VECTOR", "vector", cloud.scales),
        Attribute("radiance:base", "FLOAT4", "vector", base),
        *harmonics,
    ]


def _rest(cloud: SplatCloud) -> Floats:
    """The harmonics after the constant one, (K-1,N,3)."""
    return cloud.sh[:, 1:].transpose(1, 0, 2)


def _vertices(cloud: SplatCloud, name: str) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(cloud))
    mesh.vertices.foreach_set("co", cloud.positions.ravel())
    _fill(mesh, object_attributes(cloud))
    mesh.materials.append(splat_material())
    mesh.update()
    return mesh


def _point_cloud(cloud: SplatCloud, name: str) -> bpy.types.PointCloud:
    points: Any = bpy.data.pointclouds.new(name)  # the stubs are of Blender 4.2, whose point clouds have no type
    points.type = "GAUSSIAN_SPLAT"
    points.resize(len(cloud))
    points.attributes["position"].data.foreach_set("vector", cloud.positions.ravel())
    _fill(points, native_attributes(cloud))
    return cast(bpy.types.PointCloud, points)


def _fill(data: bpy.types.Mesh | bpy.types.PointCloud, attributes: list[Attribute]) -> None:
    made: Any = data.attributes  # the stubs take the types of Blender 4.2 alone
    for name, data_type, field, values in attributes:
        attribute = made.new(name, data_type, "POINT")
        attribute.data.foreach_set(field, np.ascontiguousarray(values, np.float32).ravel())
