"""The Blender scene for photographing objects: Cycles at 128 px, a white world, one soft sun, one camera.

The light is the same for all views, so that shading can be baked into splats.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import bpy  # type: ignore[import-not-found]
import imageio.v3 as iio  # type: ignore[import-not-found]
import numpy as np
from mathutils import Euler, Vector  # type: ignore[import-not-found]
from numpy.typing import NDArray

from prior_data.orbit import FOV, LIGHT, grid, position
from prior_data.record import Unusable

SIZE = 128
SAMPLES = 8


def clear() -> None:
    """Reset Blender to an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def photograph(front: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures rgba (48,128,128,4), straight alpha, sRGB, and cameras (48,3) of everything in the scene.

    `front` is the azimuth of the object's front; the cameras' azimuths are relative to it.
    """
    centre, radius = _bounding_sphere()
    _set_renderer()
    _set_world()
    camera, sun = _add("camera", bpy.data.cameras.new("camera")), _add("sun", bpy.data.lights.new("sun", "SUN"))
    camera.data.angle = math.radians(FOV)
    sun.data.energy, sun.data.angle = 2.0, 0.2
    light = Vector(LIGHT)
    light.rotate(Euler((0, 0, math.radians(front))))
    sun.rotation_euler = (-light).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.camera = camera
    cameras = grid()
    pictures = []
    for azimuth, elevation, k in cameras.tolist():
        _aim(camera, centre, position(azimuth + front, elevation, k, radius))
        pictures.append(_render())
    return np.stack(pictures), cameras


def _bounding_sphere() -> tuple[NDArray[np.float64], float]:
    """Centre of the bounding box of all visible meshes, and the distance of the vertex farthest from it."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    parts = [np.empty((0, 3))]
    for thing in bpy.context.scene.objects:
        if thing.type == "MESH" and not thing.hide_render and thing.visible_get():
            shown = thing.evaluated_get(graph)
            mesh = shown.to_mesh()
            flat = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", flat)
            world = np.array(shown.matrix_world)
            parts.append(flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
            shown.to_mesh_clear()
    points = np.concatenate(parts)
    if len(points) == 0 or not np.isfinite(points).all() or np.ptp(points, axis=0).max() == 0:
        raise Unusable("the scene has no visible mesh; skip the object")
    centre = (points.min(0) + points.max(0)) / 2
    return centre, float(np.linalg.norm(points - centre, axis=1).max())


def _set_renderer() -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.transparent_max_bounces = 3, 1, 8
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.use_persistent_data = True  # between views only the camera and the sun move
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "8"
    scene.view_settings.view_transform = "Standard"


def _set_world() -> None:
    world = bpy.data.worlds.new("white")
    bpy.context.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    background.inputs["Strength"].default_value = 0.7


def _add(name: str, data: bpy.types.ID) -> bpy.types.Object:
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _aim(camera: bpy.types.Object, centre: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
    camera.location = Vector(centre + offset)
    camera.rotation_euler = Vector(-offset).to_track_quat("-Z", "Y").to_euler()
    distance = float(np.linalg.norm(offset))
    camera.data.clip_start, camera.data.clip_end = distance * 0.01, distance * 10


def _render() -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "view.png"
        bpy.context.scene.render.filepath = str(file)
        bpy.ops.render.render(write_still=True)
        picture: NDArray[np.uint8] = iio.imread(file)
    return picture
