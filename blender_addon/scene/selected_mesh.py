"""Makes one triangle mesh in world space of the selected objects, for a job to start from.

It contains what the objects show: modifiers, shape keys, unfinished edits, instances of every kind, and the faces of
curves, surfaces, texts and metaballs.  Colours are found as for kits (`material_looks`).  Vertices are doubled where
colours meet, so that the borders stay sharp.  What cannot be used is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from ..shared.messages import SceneMesh
from .blender_types import mesh_of
from .corner_colours import POINTS, Corners, ImagePixels, corner_colours, read_property, subdivided
from .visible_meshes import is_splats, materials_of, visible_meshes

TRIANGLE_LIMIT = 2_000_000
KINDS = ("MESH", "CURVE", "CURVES", "SURFACE", "FONT", "META", "VOLUME", "POINTCLOUD")
NEAR = 1e-6  # of the selection's size: points that are nearer to each other become one


class SceneMeshError(ValueError):
    """No job can start from the selection; one sentence that says what to do."""


class Part(NamedTuple):
    """Triangles (T,3,3) in world space, and their colours."""

    places: NDArray[np.float64]
    corners: Corners


def selected_mesh(context: bpy.types.Context, notes: list[str] | None = None) -> SceneMesh:
    """All selected objects as one mesh, in metres; a sentence on each part that is left out is added to `notes`.

    Raises:
        SceneMeshError: nothing with faces is selected, it is too large, or its transform or vertices are unusable.
    """
    sentences: list[str] = []
    chosen = [obj for obj in context.selected_objects if obj.type in KINDS or obj.is_instancer]
    if not chosen:
        raise SceneMeshError("No mesh object is selected: select one, or set Start From to Nothing.")
    splats = [obj for obj in chosen if is_splats(obj)]
    chosen = [obj for obj in chosen if obj not in splats]
    if not chosen:
        raise SceneMeshError(f"{_names(splats)} is made of splats: select the mesh of that result.")
    if splats:
        sentences.append(f"{_names(splats)} is left out, because it is made of splats: take the mesh of that result.")
    pictures, parts, seen = ImagePixels(), [], set()
    for part, by in _parts(context, chosen, pictures):
        parts.append(part)
        seen.add(by)
    if not parts:
        raise SceneMeshError(_no_faces(chosen))
    faceless = [obj for obj in chosen if obj.name_full not in seen]
    sentences += [f"{_names(faceless)} is left out, because it shows no faces."] if faceless else []
    sentences += [note for part in parts for note in part.corners.notes]
    if notes is not None:
        notes += dict.fromkeys(sentences)
    return _join(parts, pictures)


def bounds(mesh: SceneMesh | None) -> tuple[Vector, float]:
    """Where the result will be centred, and its radius: those of the mesh, or of the unit ball."""
    if mesh is None:
        return Vector(), 1.0
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    centre = (low + high) / 2
    return Vector(centre.tolist()), max(float(np.linalg.norm(mesh.vertices - centre, axis=1).max()), 1e-6)


def _parts(
    context: bpy.types.Context, chosen: list[bpy.types.Object], pictures: ImagePixels
) -> Iterator[tuple[Part, str]]:
    """The meshes that the objects show, each with the name of the object that shows it."""
    for obj in chosen:
        if obj.mode == "EDIT":
            obj.update_from_editmode()
    depsgraph = context.evaluated_depsgraph_get()
    triangles, names = 0, {obj.name_full for obj in chosen}
    edited = [obj for obj in chosen if obj.mode == "EDIT" and obj.type == "MESH"]
    for obj in edited:
        with _evaluated(obj, depsgraph) as mesh:
            if len(mesh.polygons):
                triangles = _add_triangles(triangles, mesh)
                yield _part(obj, mesh, obj.matrix_world, pictures), obj.name_full
    for obj, matrix, by in visible_meshes(depsgraph):
        if by.name_full in names and obj.original not in edited:
            triangles = _add_triangles(triangles, mesh_of(obj))
            yield _part(obj, mesh_of(obj), matrix, pictures), by.name_full


def _add_triangles(triangles: int, mesh: bpy.types.Mesh) -> int:
    triangles += len(mesh.loops) - 2 * len(mesh.polygons)
    if triangles > TRIANGLE_LIMIT:
        raise SceneMeshError(
            f"The selection has more than {TRIANGLE_LIMIT:,} triangles: add a Decimate modifier or select less."
        )
    return triangles


@contextmanager
def _evaluated(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> Iterator[bpy.types.Mesh]:
    evaluated = obj.evaluated_get(depsgraph)
    try:
        yield evaluated.to_mesh()
    finally:
        evaluated.to_mesh_clear()


def _names(objects: list[bpy.types.Object]) -> str:
    return ", ".join(obj.name for obj in objects[:3]) + (" ..." if len(objects) > 3 else "")


def _no_faces(chosen: list[bpy.types.Object]) -> str:
    if any(obj.type == "MESH" and len(mesh_of(obj).polygons) for obj in chosen):
        return f"The modifiers of {_names(chosen)} leave no faces: change or remove them."
    return f"{_names(chosen)} has no faces to start from: select an object with faces."


def _part(obj: bpy.types.Object, mesh: bpy.types.Mesh, place: Matrix, pictures: ImagePixels) -> Part:
    """One mesh's triangles in world space, wound so that they face outwards even if the transform mirrors."""
    matrix = np.array(place, np.float64)
    vertices = read_property(mesh.vertices, "co", 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    if not np.isfinite(vertices).all():
        raise SceneMeshError(f"{obj.name} has vertices that are no numbers: remove them, or reset its transform.")
    volume = np.linalg.det(matrix[:3, :3])
    if volume == 0:
        raise SceneMeshError(f"{obj.name} is scaled to nothing along an axis: give it a scale other than 0.")
    mesh.calc_loop_triangles()
    corners = corner_colours(mesh, materials_of(obj), obj.name, pictures)
    places = vertices[read_property(mesh.loop_triangles, "vertices", 3, np.int32)]
    if volume < 0:
        places, corners.colours, corners.uvs = places[:, ::-1], corners.colours[:, ::-1], corners.uvs[:, ::-1]
    return Part(places, corners)


def _join(parts: list[Part], pictures: ImagePixels) -> SceneMesh:
    """One mesh of all parts: corners of one part in the same place and of the same colour become one vertex."""
    pictured = [part.places[part.corners.pictures >= 0] for part in parts]
    crosses = [np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]) for places in pictured]
    area = sum(float(np.linalg.norm(cross, axis=1).sum()) / 2 for cross in crosses)
    spacing = max((area / POINTS) ** 0.5, 1e-9)
    size = max(float(np.ptp(part.places.reshape(-1, 3), axis=0).max()) for part in parts)
    vertices, faces, colours, start = [], [], [], 0
    for part in parts:
        places, seen = subdivided(part.places, part.corners, pictures, spacing)
        flat, paint = places.reshape(-1, 3), np.ascontiguousarray(seen.reshape(-1, 4)).view(np.uint32)[:, 0]
        # The place as one number, 21 bits an axis, then place and colour as one: numbers sort much faster than rows.
        x, y, z = np.rint((flat - flat.min(0)) / (NEAR * size or 1)).astype(np.int64).T
        _, place = np.unique(x << 42 | y << 21 | z, return_inverse=True)
        _, first, same = np.unique(place.ravel() << 32 | paint.astype(np.int64), return_index=True, return_inverse=True)
        vertices.append(flat[first])
        colours.append(seen.reshape(-1, 4)[first])
        faces.append(same.reshape(-1, 3) + start)
        start += len(first)
    coloured = any(part.corners.coloured for part in parts)
    return SceneMesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        colours=np.concatenate(colours) if coloured else None,
    )
