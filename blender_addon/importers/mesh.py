"""A textured GLB -> one Blender object with a Principled material, by Blender's own glTF importer."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import bpy


class MeshFileError(ValueError):
    """A GLB that cannot be imported: one sentence that names it."""


def import_mesh(path: Path, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """The mesh of a GLB, linked to `collection`; Y-up of the file becomes Blender's Z-up.

    A GLB has a vertex twice where a UV seam runs through it.  They are welded, for modifiers would tear them apart; UVs
    and normals belong to the corners and stay.

    Raises:
        MeshFileError: the file cannot be read, or does not hold exactly one mesh.
    """
    before = set(bpy.data.objects)
    try:
        with redirect_stdout(io.StringIO()):  # the importer tells of its progress there
            bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True)
    except RuntimeError as error:
        raise MeshFileError(f"{path} cannot be imported: it is missing or not a GLB.") from error
    imported = set(bpy.data.objects) - before
    meshes = [thing for thing in imported if thing.type == "MESH"]
    if len(meshes) != 1:
        raise MeshFileError(f"{path} holds {len(meshes)} meshes, and one is expected: export it again.")
    mesh = meshes[0]
    placed = mesh.matrix_world.copy()
    mesh.parent = None
    mesh.matrix_world = placed
    for thing in imported - {mesh}:  # the empty nodes above it
        bpy.data.objects.remove(thing)
    for home in list(mesh.users_collection):
        home.objects.unlink(mesh)
    collection.objects.link(mesh)
    mesh.name = mesh.data.name = name
    return mesh
