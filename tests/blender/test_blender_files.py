"""What Blender's own exporters write, as the backend reads it: shape and colours."""

import json
import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PYTHON = next(ROOT.glob(".venv/bin/python"), None) or next(ROOT.glob(".venv/Scripts/python.exe"), None)
BACKEND = """
import json, sys, torch
from backend.scenes.initial import from_mesh
from backend.scenes.meshes import load_surface
from pathlib import Path

for file in sys.argv[1:]:
    surface = load_surface(Path(file))
    splats, _ = from_mesh(file, 500, torch.Generator().manual_seed(0))
    area, faces = (sum(f(m) for m in surface.meshes) for f in (lambda m: float(m.area), lambda m: len(m.faces)))
    print(json.dumps([faces, area, splats.rgb.mean(0).tolist(), splats.rgb.std(0).max().item(), surface.notes]))
"""

pytestmark = pytest.mark.skipif(PYTHON is None, reason="the backend's environment is not there")


@pytest.fixture
def suzanne():
    """Painted in half of red's light, with UVs and a white material that shows it."""
    bpy.ops.mesh.primitive_monkey_add()
    thing = bpy.context.object
    for item in thing.data.color_attributes.new("Paint", "FLOAT_COLOR", "POINT").data:
        item.color = (0.5, 0, 0, 1)
    material = bpy.data.materials.new("White")
    material.use_nodes = True
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeVertexColor")
    node.layer_name = "Paint"
    tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    thing.data.materials.append(material)
    return thing


def read(*files):
    done = subprocess.run(
        [PYTHON, "-c", BACKEND, *map(str, files)], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_default_exports_of_suzanne_are_read_with_their_colours(suzanne, tmp_path):
    """PLY of quads and triangles, as text too, OBJ with colours, and GLB: 968 triangles, all in one red."""
    ply, text, obj, glb = (tmp_path / name for name in ("a.ply", "text.ply", "a.obj", "a.glb"))
    bpy.ops.wm.ply_export(filepath=str(ply))
    bpy.ops.wm.ply_export(filepath=str(text), ascii_format=True)
    bpy.ops.wm.obj_export(filepath=str(obj), export_colors=True)
    bpy.ops.export_scene.gltf(filepath=str(glb), export_format="GLB")
    found = read(ply, text, obj, glb)
    areas = [area for _, area, *_ in found]
    np.testing.assert_allclose(areas, areas[0], rtol=1e-3)
    for faces, _, colour, spread, notes in found:
        assert (faces, notes) == (968, [])
        np.testing.assert_allclose(colour, (0.735, 0, 0), atol=0.01)
        assert spread < 0.01
