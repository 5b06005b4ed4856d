"""What objects show, themselves and by instances: of collections, Geometry Nodes, particles, faces.

One way for kits and for meshes that a job starts from.  Of a curve, a text or a metaball the mesh comes as an
instance of its own, so whoever asks for all of them gets it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import bpy
from mathutils import Matrix

from .importers.splats import RGBA, ROTATION, SCALE
from .placing import ROLE


class VisibleMesh(NamedTuple):
    """An evaluated object with a mesh that has faces, its place, and the object that it is seen by.

    It is gone when the next one is asked for; the mesh lasts until the file changes.
    """

    obj: bpy.types.Object
    matrix: Matrix
    by: bpy.types.Object


def visible_meshes(depsgraph: bpy.types.Depsgraph) -> Iterator[VisibleMesh]:
    """Every mesh that is seen."""
    for instance in depsgraph.object_instances:
        obj = instance.object
        if obj.type != "MESH" or not instance.show_self or not len(obj.data.polygons):
            continue
        by = instance.parent if instance.is_instance else obj
        yield VisibleMesh(obj, instance.matrix_world.copy(), by.original)


def materials_of(obj: bpy.types.Object) -> list[bpy.types.Material | None]:
    """The materials in its slots."""
    return [slot.material and slot.material.original for slot in obj.material_slots]


def is_splats(obj: bpy.types.Object) -> bool:
    """Whether it is an object of splats, which has no faces to start from."""
    if obj.get(ROLE) == "splats" or getattr(obj.data, "type", "") == "GAUSSIAN_SPLAT":
        return True
    return obj.type == "MESH" and all(name in obj.data.attributes for name in (ROTATION, SCALE, RGBA))
