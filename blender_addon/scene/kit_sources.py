"""What a kit is made of (its sources), and each source as a GLB file, written by Blender's glTF exporter.

A source is an object with its children, or a collection that is marked as an asset.  It is evaluated in a scene of its
own, so that neither the selection nor what is hidden in a view matters.  What it shows (modifiers, instances of every
kind, texts, curves) is copied to plain meshes, and only these are exported.  Sources are kept by name, never by
reference, because the artist may undo or delete between two exports.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import bpy
from mathutils import Matrix

from ..net.kit_maker import ExportError
from .blender_types import current_scene, mesh_of
from .kit_materials import StandInMaterials
from .visible_meshes import is_splats, materials_of, visible_meshes

CAN_SHOW = ("MESH", "CURVE", "CURVES", "SURFACE", "FONT", "META", "EMPTY")  # an empty may show a collection
MOST_TRIANGLES = 2_000_000
EXPORT: dict[str, Any] = {
    "export_format": "GLB",
    "use_active_scene": True,
    "export_animations": False,
    "export_current_frame": True,
    "export_skins": False,
    "export_morph": False,
    "export_cameras": False,
    "export_lights": False,
    "check_existing": False,
}
Key = tuple[str, str | None]  # an object's name, and the library that it is linked from


@dataclass(frozen=True)
class KitSource:
    """One object of a kit: its name, and the Blender objects that it consists of, the parent of the others first."""

    name: str
    parts: tuple[Key, ...]


@dataclass(frozen=True)
class TemporaryData:
    """What an export adds to the file, to be removed afterwards."""

    objects: list[bpy.types.Object]
    meshes: list[bpy.types.Mesh]


def exporter_is_on() -> bool:
    """Whether Blender's glTF add-on is switched on."""
    return "gltf" in dir(bpy.ops.export_scene)


def sources_of(objects: Iterable[bpy.types.Object]) -> list[KitSource]:
    """Objects as sources; children of another one among them are parts of it."""
    chosen = {obj: None for obj in objects if obj.type in CAN_SHOW or obj.type == "ARMATURE"}
    groups: dict[bpy.types.Object, list[bpy.types.Object]] = {}
    for obj in chosen:
        top = obj
        while top.parent is not None and top.parent in chosen:
            top = top.parent
        groups.setdefault(top, []).append(obj)
    ordered = ((top, sorted(group, key=lambda obj: obj != top)) for top, group in groups.items())
    return [_source(top.name, group) for top, group in ordered if any(map(_can_show, group))]


def asset_sources() -> list[KitSource]:
    """The objects and the collections of this file that are marked as assets."""
    marked = [collection for collection in bpy.data.collections if collection.asset_data]
    whole = [_source(collection.name, collection.all_objects) for collection in marked if collection.all_objects]
    alone = [_source(obj.name, [obj]) for obj in bpy.data.objects if obj.asset_data and _can_show(obj)]
    return alone + whole


def export_source(source: KitSource, file: Path, own_front: bool) -> list[str]:
    """Write a source as a GLB.  Returns notes on what of it could not be exported.

    With `own_front` the object's rotation about the vertical is undone, so that its own -Y side is the front.

    Raises:
        ExportError: it shows nothing, it is too large, or the exporter refuses it.
    """
    found: list[bpy.types.Object | None] = [bpy.data.objects.get(key) for key in source.parts]
    objects = [obj for obj in found if obj is not None]
    if not objects:
        raise ExportError("it is not in this file any more.")
    if any(map(is_splats, objects)):
        raise ExportError("it is made of splats: take the mesh of that result.")
    materials, made = StandInMaterials(), TemporaryData([], [])
    try:
        with _temporary_scene() as scene:
            copies = _copies(scene, objects, materials, made)
            _place_copies(scene, copies, _to_origin(objects[0], own_front), made)
            _export(scene, file)
    finally:
        bpy.data.batch_remove(made.objects)
        bpy.data.batch_remove(made.meshes)
        materials.close()
    return materials.notes


def _source(name: str, objects: Iterable[bpy.types.Object]) -> KitSource:
    return KitSource(name, tuple((part.name, part.library.filepath if part.library else None) for part in objects))


def _can_show(obj: bpy.types.Object) -> bool:
    empty = obj.type == "EMPTY" and obj.instance_type != "COLLECTION"
    return obj.type in CAN_SHOW and not empty


@contextmanager
def _temporary_scene() -> Iterator[bpy.types.Scene]:
    """An empty scene at the artist's frame, which is removed afterwards."""
    scene = bpy.data.scenes.new("Splatsmith kit")
    scene.frame_current = current_scene(bpy.context).frame_current
    try:
        yield scene
    finally:
        bpy.data.scenes.remove(scene)


def _copies(
    scene: bpy.types.Scene, objects: list[bpy.types.Object], materials: StandInMaterials, made: TemporaryData
) -> list[tuple[bpy.types.Mesh, Matrix]]:
    """A plain mesh and its world matrix for everything that the objects show, instances included."""
    for part in objects:
        scene.collection.objects.link(part)
    layer = scene.view_layers[0]
    layer.update()
    copied: dict[int, bpy.types.Mesh] = {}
    found, triangles = [], 0
    for obj, matrix, _ in visible_meshes(cast(bpy.types.Depsgraph, layer.depsgraph)):
        shown = mesh_of(obj)
        triangles += len(shown.loops) - 2 * len(shown.polygons)
        if triangles > MOST_TRIANGLES:
            raise ExportError(f"it has more than {MOST_TRIANGLES:,} triangles: add a Decimate modifier.")
        key = shown.as_pointer()
        if key not in copied:
            copied[key] = shown.copy()
            made.meshes.append(copied[key])
            materials.assign(copied[key], materials_of(obj), obj.name)
        found.append((copied[key], matrix))
    for part in objects:
        scene.collection.objects.unlink(part)
    return found


def _to_origin(top: bpy.types.Object, own_front: bool) -> Matrix:
    """The matrix that takes the source to the origin and, with `own_front`, undoes its turn about the vertical."""
    away = Matrix.Translation(-top.matrix_world.translation)
    return Matrix.Rotation(-top.matrix_world.to_euler("XYZ").z, 4, "Z") @ away if own_front else away


def _place_copies(
    scene: bpy.types.Scene, copies: list[tuple[bpy.types.Mesh, Matrix]], to_place: Matrix, made: TemporaryData
) -> None:
    """Make an object of each copy, where it will be photographed."""
    if not copies:
        raise ExportError("it shows no faces.")
    for mesh, matrix in copies:
        stand_in = bpy.data.objects.new("part", mesh)
        made.objects.append(stand_in)
        scene.collection.objects.link(stand_in)
        stand_in.matrix_world = to_place @ matrix


def _export(scene: bpy.types.Scene, file: Path) -> None:
    """Export the scene.  The window shows it meanwhile, but nothing is drawn before this ends, so nobody sees that."""
    window = cast(bpy.types.Window, bpy.context.window)  # the timer exports only where there is one
    before, layer = window.scene, window.view_layer
    window.scene = scene
    try:
        with redirect_stdout(io.StringIO()):  # where the exporter prints its progress
            bpy.ops.export_scene.gltf(filepath=str(file), **EXPORT)
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Location:")]
        raise ExportError(f"the glTF exporter refuses it ({lines[-1].strip()}).") from error
    finally:
        window.scene, window.view_layer = before, layer
