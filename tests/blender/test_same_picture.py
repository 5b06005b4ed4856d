"""What F12 shows against what the backend shows: a run's own splats, one camera, after saving and opening again."""

import math
import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Vector

from blender_addon.scene.importers.splats import import_splats, raise_transparency_limits
from blender_addon.scene.ply import read_ply

ROOT = Path(__file__).parents[2]
PYTHON = next(ROOT.glob(".venv/bin/python"), None) or next(ROOT.glob(".venv/Scripts/python.exe"), None)
SIDE, AZIMUTH, ELEVATION, FOV, DISTANCE = 192, 30.0, 20.0, 40.0, 3.2
BACKEND = f"""
import sys
import numpy as np, torch, trimesh
from backend.cli.main import main
from backend.cameras import Cameras
from backend.scenes.ply import read_ply
from backend.export.views import photograph

ring = trimesh.creation.torus(0.6, 0.25)
ring.visual.vertex_colors = (150 + 70 * ring.vertices / np.abs(ring.vertices).max(0)).astype(np.uint8)
ring.export("ring.ply")
code = main(["generate", "--prompt", "a red apple", "--init-mesh", "ring.ply", "--steps", "2", "--out", "job"])
camera = Cameras(*(torch.tensor([angle]) for angle in ({AZIMUTH}, {ELEVATION}, {DISTANCE}, {FOV})))
np.save("picture.npy", photograph(read_ply("job/splats.ply"), camera, {SIDE}, background=1.0).rgb[0])
sys.exit(code)
"""

pytestmark = pytest.mark.skipif(PYTHON is None, reason="the backend's environment is not there")


def look(scene):
    """The backend's camera, in Blender: angles, distance and field of view as `backend.cameras` has them."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    flat = math.cos(elevation)
    away = Vector((math.sin(azimuth) * flat, -math.cos(azimuth) * flat, math.sin(elevation)))
    camera.location = DISTANCE * away
    camera.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    camera.data.angle = math.radians(FOV)
    scene.camera = camera


def render(scene, path):
    """sRGB (SIDE,SIDE,3) in [0,1] before white, first row on top."""
    scene.world = bpy.data.worlds.new("White")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 8, False
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    return np.array(image.pixels[:]).reshape(SIDE, SIDE, 4)[::-1, :, :3]


def psnr(one, other):
    return -10 * math.log10(np.square(one - np.clip(other, 0, 1)).mean())


def test_cycles_shows_what_the_backend_shows(tmp_path):
    done = subprocess.run(
        [PYTHON, "-c", BACKEND], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    expected = np.load(tmp_path / "picture.npy")
    import_splats(read_ply(tmp_path / "job" / "splats.ply"), "Ring", bpy.context.scene.collection)
    raise_transparency_limits(bpy.context.scene)
    look(bpy.context.scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "ring.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "ring.blend"))
    shown = render(bpy.context.scene, tmp_path / "shown.png")
    np.save(tmp_path / "shown.npy", shown)
    assert psnr(shown, expected) > 30, psnr(shown, expected)
    assert psnr(shown[:, ::-1], expected) < 25  # another picture would not pass
