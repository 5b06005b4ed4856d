"""Makes a Blender file of a job's folder: `python -m blender_addon.scene.scene_file DIR [--render PNG]`.

DIR/splats.ply, DIR/mesh.glb (if the job made one) and DIR/job.json become DIR/scene.blend.  An earlier scene.blend is
kept under another name, because somebody may have worked in it.  A collection named after the prompt holds the splats
at the origin and, MESH_OFFSET metres to their right, the textured mesh.  A job that started from a mesh stands where
that mesh stood, as large as it was; there the two are in one place, and the mesh is hidden, as after an import.  The
light is white from all sides with a weak sun, because the mesh's texture contains the light of the splats already.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import bpy
from mathutils import Matrix, Vector

from ..shared.existing_files import rename_existing
from .blender_types import Socket, current_scene, tree_of
from .importers.mesh import MeshFileError, import_mesh
from .importers.splats import import_splats, raise_transparency_limits
from .ply import PlyError, read_ply

MESH_OFFSET = 2.5  # metres between the two objects; both lie in a ball of radius 1
BAD_INPUT = 2
NAME_LIMIT = 60  # bytes; Blender cuts names after 63


class SceneError(ValueError):
    """No scene can be made from the folder; one sentence that names the file."""


def make_scene(folder: Path) -> bpy.types.Collection:
    """Fill an empty Blender file with a job's results.  Returns the collection that holds them.

    Raises:
        SceneError, PlyError, MeshFileError: a file of the job is missing or damaged.
    """
    job, splats = _read_job(folder / "job.json") | _read_place(folder / "metrics.json"), folder / "splats.ply"
    if not splats.exists():
        raise SceneError(f"{splats} does not exist: let the job finish first.")
    cloud, stood = read_ply(splats), Matrix(job["to_scene"])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = current_scene(bpy.context)
    collection = bpy.data.collections.new(_short(job["prompt"]))
    scene.collection.children.link(collection)
    objects = [import_splats(cloud, "Splats", collection)]
    if (folder / "mesh.glb").exists():
        objects.append(import_mesh(folder / "mesh.glb", "Mesh", collection))
    side_by_side = len(objects) > 1 and stood == Matrix.Identity(4)
    for obj in objects:
        obj.matrix_world = (Matrix() if job["placed"] else stood) @ obj.matrix_world
    if side_by_side:
        objects[1].location.x += MESH_OFFSET
    elif len(objects) > 1:
        objects[1].hide_viewport = objects[1].hide_render = True
    for holder in (collection, *objects):
        for key in ("prompt", "objective", "seed"):
            holder[key] = job[key]
    _set_up_camera(scene, stood, MESH_OFFSET / 2 if side_by_side else 0.0)
    _set_up_light(scene)
    _set_up_render(scene)
    return collection


def save(path: Path) -> Path | None:
    """Write the open Blender file, with its texture inside; OSError if that fails.

    A file that was there is kept under another name, which is returned.
    """
    cast(bpy.types.Preferences, bpy.context.preferences).filepaths.save_version = 0  # no scene.blend1 beside it
    kept = rename_existing(path)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    except RuntimeError as error:
        if kept is not None:
            kept.rename(path)
        raise OSError(f"{path} cannot be written: {error}") from error
    return kept


def render(path: Path) -> None:
    """A small picture of the open file by Cycles."""
    scene = current_scene(bpy.context)
    scene.render.resolution_percentage = 50
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.  Returns the exit code: 2 for a bad folder, with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m blender_addon.scene.scene_file", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--render", type=Path, metavar="PNG", help="a small picture by Cycles too")
    args = parser.parse_args(arguments)
    try:
        make_scene(args.folder)
        if kept := save(args.folder.resolve() / "scene.blend"):
            print(f"The scene.blend that was there is kept as {kept.name}.", file=sys.stderr)
    except (SceneError, PlyError, MeshFileError, OSError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if args.render:
        render(args.render.resolve())
    return 0


def _read_job(path: Path) -> dict[str, Any]:
    try:
        job = json.loads(path.read_bytes())
        return {"prompt": str(job["prompt"]), "objective": str(job["objective"]), "seed": str(job["seed"])}
    except OSError as error:
        raise SceneError(f"{path} cannot be read ({error.strerror}): let the job finish first.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SceneError(f"{path} is not the job file of a finished run.") from error


def _read_place(path: Path) -> dict[str, Any]:
    """The matrix from the unit ball to where the start mesh stood, and whether the files are placed there already.

    A run that was stopped has no figures: its files are taken as they stand.
    """
    try:
        figures = json.loads(path.read_bytes()) if path.exists() else {}
        to_scene = [[float(value) for value in row] for row in figures.get("to_scene", Matrix.Identity(4))]
        Matrix(to_scene).inverted()
        return {"to_scene": to_scene, "placed": bool(figures.get("placed", False))}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SceneError(f"{path} cannot be read as the figures of a finished run.") from error


def _short(text: str) -> str:
    return text.encode()[:NAME_LIMIT].decode(errors="ignore").strip() or "Splatsmith"


def _set_up_camera(scene: bpy.types.Scene, stood: Matrix, centre: float) -> None:
    """A camera in front of and a little above the result, or the row of two objects around (centre, 0, 0)."""
    lens = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", lens)
    scene.collection.objects.link(camera)
    lens.angle = math.radians(40)
    distance = (centre + 1.0) * 1.1 / math.tan(lens.angle / 2) + 1.0
    elevation = math.radians(15)
    away = Vector((0, -math.cos(elevation), math.sin(elevation)))
    size = stood.median_scale
    camera.location = stood @ (Vector((centre, 0, 0)) + away * distance)
    lens.clip_start, lens.clip_end = 0.1 * size, 1000 * size
    camera.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = (960, 540) if centre else (720, 720)


def _set_up_light(scene: bpy.types.Scene) -> None:
    world = bpy.data.worlds.new("White")
    world.use_nodes = True
    background: Socket = tree_of(world).nodes["Background"].inputs["Color"]
    background.default_value = (1, 1, 1, 1)
    scene.world = world
    light: Any = bpy.data.lights.new("Sun", "SUN")  # in the stubs a light of no kind, without an angle
    light.energy, light.angle = 0.5, math.radians(30)
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (math.radians(40), math.radians(15), 0)
    scene.collection.objects.link(sun)


def _set_up_render(scene: bpy.types.Scene) -> None:
    """Cycles, and colours as they are: the Standard view shows an emission of linear(c) as the sRGB value c."""
    settings: Any = scene  # Cycles is an add-on, of which the stubs know nothing
    settings.render.engine = "CYCLES"
    settings.cycles.samples = 8  # splats have almost no noise: these smooth their edges and the light on the mesh
    # For artists who switch to EEVEE: shadow maps of thousands of splats take minutes.
    settings.eevee.use_shadows = False
    settings.view_settings.view_transform = "Standard"
    raise_transparency_limits(scene)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # bpy may crash in its exit handlers, and then the exit code would be lost
