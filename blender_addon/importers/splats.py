"""Splats -> a Blender object that renders in Cycles and EEVEE.

Where Blender has Gaussian splats of its own (5.3 and later) the object is a point cloud of that type.  Before, it is
a mesh of vertices alone, with named attributes and a Geometry Nodes modifier (see `splat_nodes`).

Both show sRGB colours through Blender's Standard view.  Blender blends the splats in linear light, while they
were optimised for blending in sRGB: soft edges come out a little lighter than in our own pictures.  The object
shows the view-independent colour; the native one has all harmonics.
"""

from __future__ import annotations

from typing import NamedTuple

import bpy
import numpy as np

from ..ply import Floats, SplatCloud
from .splat_nodes import RGBA, ROTATION, SCALE, splat_material, splat_nodes

# Each splat on a ray is two transparent bounces, one for each side of its cube.
TRANSPARENT_BOUNCES = 1024  # Cycles' most; its default of 8 makes everything behind four splats black
CERTAIN_BOUNCES = 64  # before Cycles draws lots over which rays go on; its default of 0 makes soft edges noisy


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
    thing = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    if not native:
        thing.modifiers.new("Splats", "NODES").node_group = splat_nodes()
    return thing


def let_light_through(scene: bpy.types.Scene) -> None:
    """Let Cycles look through as many splats as lie behind each other, so that F12 shows what the viewport does."""
    scene.cycles.transparent_max_bounces = max(scene.cycles.transparent_max_bounces, TRANSPARENT_BOUNCES)
    scene.cycles.min_transparent_bounces = max(scene.cycles.min_transparent_bounces, CERTAIN_BOUNCES)


def object_attributes(cloud: SplatCloud) -> list[Attribute]:
    """What `splat_nodes` reads; colour linear, with the opacity as its alpha."""
    rgba = np.concatenate([cloud.linear_rgb, cloud.opacities[:, None]], 1)
    return [
        Attribute(ROTATION, "QUATERNION", "value", cloud.rotations),
        Attribute(SCALE, "FLOAT_VECTOR", "vector", cloud.scales),
        Attribute(RGBA, "FLOAT_COLOR", "color", rgba),
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
    points = bpy.data.pointclouds.new(name)
    points.type = "GAUSSIAN_SPLAT"
    points.resize(len(cloud))
    points.attributes["position"].data.foreach_set("vector", cloud.positions.ravel())
    _fill(points, native_attributes(cloud))
    return points


def _fill(data: bpy.types.Mesh | bpy.types.PointCloud, attributes: list[Attribute]) -> None:
    for name, data_type, field, values in attributes:
        attribute = data.attributes.new(name, data_type, "POINT")
        attribute.data.foreach_set(field, np.ascontiguousarray(values, np.float32).ravel())
