"""A job's folder -> a Blender file: `python -m blender_addon.scene_file DIR [--render PNG]`, run by Blender's Python.

DIR/splats.ply, DIR/mesh.glb (if the job made one) and DIR/job.json become DIR/scene.blend.  A collection with the
prompt as its name holds the splats at the origin and, MESH_ASIDE metres to their right, the textured mesh.  The
light is white from all sides with a weak sun: the mesh's texture has the light of the splats in it already.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from .importers.mesh import MeshFileError, import_mesh
from .importers.splats import import_splats, let_light_through
from .ply import PlyError, read_ply

MESH_ASIDE = 2.5  # metres; both objects lie in a ball of radius 1
BAD_INPUT = 2
NAME_LIMIT = 60  # bytes; Blender cuts names after 63


class SceneError(ValueError):
    """A folder that no scene can be made from: one sentence that names the file."""


def make_scene(folder: Path) -> bpy.types.Collection:
    """Fill an empty Blender file with a job's results; the collection that holds them.

    Raises:
        SceneError, PlyError, MeshFileError: a file of the job is missing or damaged.
    """
    job, splats = _read_job(folder / "job.json"), folder / "splats.ply"
    if not splats.exists():
        raise SceneError(f"{splats} does not exist: let the job finish first.")
    cloud = read_ply(splats)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    collection = bpy.data.collections.new(_short(job["prompt"]))
    scene.collection.children.link(collection)
    things = [import_splats(cloud, "Splats", collection)]
    if (folder / "mesh.glb").exists():
        mesh = import_mesh(folder / "mesh.glb", "Mesh", collection)
        mesh.location.x += MESH_ASIDE
        things.append(mesh)
    for holder in (collection, *things):
        for key in ("prompt", "objective", "seed"):
            holder[key] = job[key]
    _set_up_camera(scene, centre=(len(things) - 1) * MESH_ASIDE / 2)
    _set_up_light(scene)
    _set_up_render(scene)
    return collection


def save(path: Path) -> None:
    """Write the open Blender file (the texture is in it since its import); OSError where that fails."""
    bpy.context.preferences.filepaths.save_version = 0  # no scene.blend1 beside it
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def render(path: Path) -> None:
    """A small picture of the open file by Cycles."""
    scene = bpy.context.scene
    scene.render.resolution_percentage = 50
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code.  What is wrong with the folder is one sentence on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m blender_addon.scene_file", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--render", type=Path, metavar="PNG", help="a small picture by Cycles too")
    args = parser.parse_args(arguments)
    try:
        make_scene(args.folder)
        save(args.folder.resolve() / "scene.blend")
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


def _short(text: str) -> str:
    return text.encode()[:NAME_LIMIT].decode(errors="ignore").strip() or "Splatsmith"


def _set_up_camera(scene: bpy.types.Scene, centre: float) -> None:
    """A camera in front of and a little above the row of objects around (centre, 0, 0)."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    camera.data.angle = math.radians(40)
    distance = (centre + 1.0) * 1.1 / math.tan(camera.data.angle / 2) + 1.0
    elevation = math.radians(15)
    away = Vector((0, -math.cos(elevation), math.sin(elevation)))
    camera.location = Vector((centre, 0, 0)) + away * distance
    camera.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = (960, 540) if centre else (720, 720)


def _set_up_light(scene: bpy.types.Scene) -> None:
    world = bpy.data.worlds.new("White")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.world = world
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle = 0.5, math.radians(30)
    sun.rotation_euler = (math.radians(40), math.radians(15), 0)
    scene.collection.objects.link(sun)


def _set_up_render(scene: bpy.types.Scene) -> None:
    """Cycles, and colours as they are: the Standard view shows an emission of linear(c) as the sRGB value c."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 8  # splats have next to no noise: this is for their edges and the mesh's light
    scene.eevee.use_shadows = False  # for whoever switches: a shadow map over thousands of splats takes minutes
    scene.view_settings.view_transform = "Standard"
    let_light_through(scene)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # bpy may crash in its exit handlers, and the exit code would be lost
