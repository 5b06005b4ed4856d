"""Renders one OBJ model of a catalogue: stood up, without doubled faces, never a mirror."""

from __future__ import annotations

from pathlib import Path

import bpy  # type: ignore[import-not-found]

# isort: split
import bmesh  # type: ignore[import-not-found]  # is there only once bpy is loaded
from mathutils import Matrix  # type: ignore[import-not-found]

from prior_data import studio
from prior_data.record import Unusable, seed_of
from prior_data.workers import Job, Views

VIEWS = 24
Y_UP_TO_Z_UP = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))


def render(job: Job) -> Views:
    """Pictures and cameras of one model; `job.what` is the file's path and the catalogue's rotation."""
    path, rotation = job.what
    studio.clear()
    bpy.ops.wm.obj_import(filepath=path)
    meshes = [thing for thing in bpy.data.objects if thing.type == "MESH"]
    if not meshes:
        raise Unusable(f"{Path(path).name} holds no mesh; leave it out")
    for image in bpy.data.images:
        if image.source == "FILE" and not Path(bpy.path.abspath(image.filepath)).is_file():
            raise Unusable(f"{Path(path).name} misses the texture {image.name}; leave it out")
    _turn(meshes, rotation)
    _remove_doubled_faces(meshes)
    _dull_materials()
    return studio.photograph(VIEWS, seed_of(job.record.source))


def _turn(meshes: list[bpy.types.Object], rotation: str) -> None:
    """Apply the catalogue's rotation, given in Y-up, to objects that the importer has made Z-up."""
    if not rotation:
        return
    m = [float(number) for number in rotation.split()]
    turn = Y_UP_TO_Z_UP @ Matrix((m[0:3], m[3:6], m[6:9])).to_4x4() @ Y_UP_TO_Z_UP.inverted()
    for mesh in meshes:
        mesh.matrix_world = turn @ mesh.matrix_world


def _remove_doubled_faces(meshes: list[bpy.types.Object]) -> None:
    """Faces on the same corners, one of each pair turned inside out, flicker: keep the first."""
    seen: set[frozenset[tuple[float, ...]]] = set()
    for mesh in meshes:
        edit = bmesh.new()
        edit.from_mesh(mesh.data)
        doubled = []
        for face in edit.faces:
            corners = frozenset(tuple(round(x, 4) for x in mesh.matrix_world @ vert.co) for vert in face.verts)
            if corners in seen:
                doubled.append(face)
            seen.add(corners)
        if doubled:
            bmesh.ops.delete(edit, geom=doubled, context="FACES_ONLY")
            edit.to_mesh(mesh.data)
        edit.free()


def _dull_materials() -> None:
    """No mirrors: what they show belongs to the room and cannot be learnt as part of the object."""
    for material in bpy.data.materials:
        for node in material.node_tree.nodes if material.node_tree else ():
            if node.type == "BSDF_PRINCIPLED":
                node.inputs["Roughness"].default_value = max(node.inputs["Roughness"].default_value, 0.4)
