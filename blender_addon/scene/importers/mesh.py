"""Imports a textured GLB as one object with a Principled material, by Blender's own glTF importer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import addon_utils
import bpy

from ..blender_types import data_of

GLTF = "io_scene_gltf2"  # the add-on that comes with Blender


class MeshFileError(ValueError):
    """The GLB cannot be imported; one sentence that names it."""


def import_mesh(path: Path, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """The mesh of a GLB, linked to `collection`; Y-up of the file becomes Blender's Z-up.

    Where a UV seam runs through a vertex, a GLB has that vertex twice.  Such vertices are merged, because modifiers
    would tear the mesh open there; UVs and normals belong to the corners and stay.

    Raises:
        MeshFileError: the file cannot be read, or does not hold exactly one mesh, or Blender lacks its glTF add-on.
    """
    before = set(bpy.data.objects)
    try:
        with _gltf_importer(), redirect_stdout(io.StringIO()):  # where the importer prints its progress
            bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True)
    except RuntimeError as error:
        raise MeshFileError(f"{path} cannot be imported: it is missing or not a GLB.") from error
    imported = set(bpy.data.objects) - before
    meshes = [obj for obj in imported if obj.type == "MESH"]
    if len(meshes) != 1:
        bpy.data.batch_remove(imported)
        raise MeshFileError(f"{path} holds {len(meshes)} meshes, and one is expected: export it again.")
    mesh = meshes[0]
    placed = mesh.matrix_world.copy()
    mesh.parent = None
    mesh.matrix_world = placed
    for obj in imported - {mesh}:  # the empty nodes above it
        bpy.data.objects.remove(obj)
    for home in list(mesh.users_collection):
        home.objects.unlink(mesh)
    collection.objects.link(mesh)
    mesh.name = data_of(mesh).name = name
    return mesh


@contextmanager
def _gltf_importer() -> Iterator[None]:
    """Have Blender's glTF add-on switched on during the block, and afterwards off again if it was off."""
    if "gltf" in dir(bpy.ops.import_scene):
        yield
        return
    # default_set: the add-on reads its entry in the preferences, and does not start without one.
    if addon_utils.enable(GLTF, default_set=True) is None:
        raise MeshFileError("Blender's own glTF add-on is missing: install Blender whole to have meshes imported.")
    try:
        yield
    finally:
        addon_utils.disable(GLTF, default_set=True)
