"""Where results stand in the scene.

Each job has a collection with an empty in it, its place.  The artist may move the place while the job runs; the result
becomes its child.  Objects are found by the job's id in their custom properties, never by a reference, so that undo,
opening a file and deleting by hand are safe.  A result without a place stands where the backend says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import bpy
from mathutils import Matrix, Vector

from ..shared.messages import JobState
from ..shared.messages import Matrix as Rows
from .blender_types import custom_property

JOB, ROLE, ORIGIN, RADIUS = "splatsmith_job", "splatsmith_role", "splatsmith_origin", "splatsmith_radius"
SPACING = 2.5  # between the centres of results, in units of their radius
IN_A_ROW = 4  # more variations than this stand in a grid
NAME_LIMIT = 50  # bytes; Blender cuts names after 63, and adds .001

Role = Literal["place", "splats", "mesh"]
RESULTS: tuple[Role, ...] = ("splats", "mesh")


def result_offsets(count: int, radius: float) -> list[Vector]:
    """Offsets of `count` results: a row to the right, or a square grid towards the back."""
    columns = count if count <= IN_A_ROW else math.ceil(math.sqrt(count))
    return [Vector((i % columns, i // columns, 0)) * SPACING * radius for i in range(count)]


def free_spot(first: Vector, radius: float) -> Vector:
    """The first spot at or to the right of `first` where no result stands or is going to stand."""
    standing = [obj for _, obj in _objects("place")]
    # A result without a parent: the artist has deleted its place.
    standing += [obj for role in RESULTS for _, obj in _objects(role) if obj.parent is None]
    taken = [obj.matrix_world.translation for obj in standing]
    spot = first.copy()
    while any((spot - other).length < radius for other in taken):
        spot.x += SPACING * radius
    return spot


def make_place(
    scene: bpy.types.Scene, job: str, prompt: str, seed: int, offset: Vector, origin: Vector, radius: float
) -> bpy.types.Object:
    """A job's collection with its empty at `origin` + `offset`; `origin` is where the backend will put the result."""
    collection = make_collection(scene, job, prompt)
    place = bpy.data.objects.new(f"{short_name(prompt, NAME_LIMIT // 2)} · seed {seed}", None)
    place.empty_display_type, place.empty_display_size = "SPHERE", radius
    place.show_name = True
    place.matrix_world = Matrix.Translation(origin + offset)
    place[JOB], place[ROLE], place[ORIGIN], place[RADIUS] = job, "place", origin, radius
    collection.objects.link(place)
    return place


def origin_and_radius(job: str, to_scene: Rows) -> tuple[Vector, float]:
    """Where the backend puts a job's result, and its radius.

    The place knows both, even while the job waits and has no `to_scene` yet.
    """
    place, matrix = find_object(job, "place"), Matrix(to_scene)
    if place is None:
        return matrix.translation, matrix.median_scale
    return Vector(custom_property(place, ORIGIN, (0, 0, 0))), custom_property(place, RADIUS, 1.0)


def place_beside(scene: bpy.types.Scene, state: JobState) -> None:
    """A place for a particle's result, beside that of its job, if that has one and this one has none."""
    first = find_object(state.part_of, "place") if state.part_of else None
    if first is None or find_object(state.job, "place") is not None:
        return
    radius, origin = custom_property(first, RADIUS, 1.0), Vector(custom_property(first, ORIGIN, (0, 0, 0)))
    spot = free_spot(first.matrix_world.translation.copy(), radius)
    place = make_place(scene, state.job, state.prompt, state.seed, spot - origin, origin, radius)
    place.name = f"{place.name} · particle {state.particle}"


def make_collection(scene: bpy.types.Scene, job: str, prompt: str) -> bpy.types.Collection:
    """An empty collection for a job's results."""
    collection = bpy.data.collections.new(short_name(prompt, NAME_LIMIT))
    collection[JOB] = job
    scene.collection.children.link(collection)
    return collection


def find_collection(job: str) -> bpy.types.Collection | None:
    """The job's collection in this file."""
    return next((collection for collection in bpy.data.collections if custom_property(collection, JOB) == job), None)


def find_object(job: str, role: Role) -> bpy.types.Object | None:
    """The object of that role in the job's collection."""
    collection = find_collection(job)
    if collection is None:
        return None
    return next((obj for obj in collection.all_objects if custom_property(obj, ROLE) == role), None)


def splat_objects() -> Iterator[tuple[str, bpy.types.Object]]:
    """Every imported splat object of this file with its job."""
    return _objects("splats")


def remove_place(job: str) -> None:
    """Remove a job's place if no result stands at it, and its collection if nothing is left in it."""
    place, collection = find_object(job, "place"), find_collection(job)
    if place is not None and find_object(job, "splats") is None and find_object(job, "mesh") is None:
        bpy.data.objects.remove(place)
    if collection is not None and not collection.all_objects:
        bpy.data.collections.remove(collection)


def local_matrix(place: bpy.types.Object | None, to_scene: Rows) -> Matrix:
    """The matrix from the unit ball to the place's own space, or to the world if there is no place."""
    if place is None:
        return Matrix(to_scene)
    return Matrix.Translation(-Vector(custom_property(place, ORIGIN, (0, 0, 0)))) @ Matrix(to_scene)


def world_matrix(job: str, to_scene: Rows) -> Matrix:
    """The matrix from the unit ball to where the job's result will stand in the world."""
    place = find_object(job, "place")
    return local_matrix(place, to_scene) if place is None else place.matrix_world @ local_matrix(place, to_scene)


def short_name(text: str, limit: int) -> str:
    """A prompt as a name: one line of at most `limit` bytes."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line.encode()[:limit].decode(errors="ignore").strip() or "Splatsmith"


def _objects(role: Role) -> Iterator[tuple[str, bpy.types.Object]]:
    for collection in bpy.data.collections:
        if (job := custom_property(collection, JOB)) is not None:
            for obj in collection.all_objects:
                if custom_property(obj, ROLE) == role:
                    yield job, obj
