"""The meshes that objects show: their own, and those of instances (collections, Geometry Nodes, particles, faces).

Kits and selections that a job starts from both use it.  The mesh of a curve, a text or a metaball comes as an instance,
so that it is seen exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import bpy
from mathutils import Matrix

from .blender_types import custom_property, mesh_of
from .importers.splat_nodes import RGBA, ROTATION, SCALE
from .placing import ROLE


class VisibleMesh(NamedTuple):
    """An evaluated object with faces, its world matrix, and the object of the file that shows it.

    Blender frees the object when the next one is asked for; its mesh lasts until the file changes.
    """

    obj: bpy.types.Object
    matrix: Matrix
    by: bpy.types.Object


def visible_meshes(depsgraph: bpy.types.Depsgraph) -> Iterator[VisibleMesh]:
    """Every mesh with faces that is seen."""
    for instance in depsgraph.object_instances:
        obj = cast(bpy.types.Object, instance.object)
        if obj.type != "MESH" or not instance.show_self or not len(mesh_of(obj).polygons):
            continue
        by = cast(bpy.types.Object, instance.parent if instance.is_instance else obj)
        yield VisibleMesh(obj, instance.matrix_world.copy(), cast(bpy.types.Object, by.original))


def materials_of(obj: bpy.types.Object) -> list[bpy.types.Material | None]:
    """The materials in its slots."""
    return [slot.material and slot.material.original for slot in obj.material_slots]


def is_splats(obj: bpy.types.Object) -> bool:
    """Whether the object consists of splats, which have no faces to start from."""
    if custom_property(obj, ROLE) == "splats" or getattr(obj.data, "type", "") == "GAUSSIAN_SPLAT":
        return True
    return obj.type == "MESH" and all(name in mesh_of(obj).attributes for name in (ROTATION, SCALE, RGBA))
