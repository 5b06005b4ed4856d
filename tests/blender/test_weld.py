"""The backend's own mesh in Blender: closed, with its seams, its normals and its texture, and whole under modifiers."""

import json
import shutil
import subprocess
from pathlib import Path

import bmesh
import bpy
import numpy as np
import pytest
from samples import JOB, random_splats, write_ply

from blender_addon.scene.importers.mesh import import_mesh
from blender_addon.scene.scene_file import make_scene

ROOT = Path(__file__).parents[2]
PYTHON = next(ROOT.glob(".venv/bin/python"), None) or next(ROOT.glob(".venv/Scripts/python.exe"), None)
BACKEND = """
import torch
from backend.export.mesh import extract_mesh
from backend.export.texture import bake, unwrap, write_glb
from backend.scenes.initial import discs

d = torch.nn.functional.normalize(torch.randn(1500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
ring = torch.nn.functional.normalize(d * torch.tensor([1.0, 1.0, 0.0]), dim=-1)
splats = discs(0.6 * ring + 0.3 * d, d, 0.5 + 0.4 * d)
surface = extract_mesh(splats, resolution=48, faces=2000)
assert not surface.warnings, surface.warnings
write_glb(bake(unwrap(surface, 256), splats, 256), "mesh.glb", "a ring", "")
"""

pytestmark = pytest.mark.skipif(PYTHON is None, reason="the backend's environment is not there")


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ring")
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([PYTHON, "-c", BACKEND], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return folder / "mesh.glb"


def edges(mesh):
    """How many edges do not lie between two faces, of how many."""
    shape = bmesh.new()
    shape.from_mesh(mesh)
    found = sum(len(edge.link_faces) != 2 for edge in shape.edges), len(shape.edges)
    shape.free()
    return found


def seams(mesh):
    """Edges at whose sides the UVs differ."""
    shape = bmesh.new()
    shape.from_mesh(mesh)
    layer = shape.loops.layers.uv.active
    found = 0
    for edge in shape.edges:
        sides = [{loop.vert.index: tuple(loop[layer].uv) for loop in (a, a.link_loop_next)} for a in edge.link_loops]
        found += len(sides) == 2 and sides[0] != sides[1]
    shape.free()
    return found


def test_the_mesh_is_closed_and_keeps_its_seams_and_smooth_normals(ring):
    thing = import_mesh(ring, "Ring", bpy.context.scene.collection)
    opened, of = edges(thing.data)
    assert (opened, of > 1000) == (0, True)
    assert seams(thing.data) > 50
    mesh = thing.data
    corners = np.array([normal.vector for normal in mesh.corner_normals])
    at = np.array([loop.vertex_index for loop in mesh.loops])
    means = np.zeros((len(mesh.vertices), 3))
    np.add.at(means, at, corners)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert (corners * means[at]).sum(1).min() > 0.999  # every vertex has one normal


def test_modifiers_do_not_tear_it(ring):
    thing = import_mesh(ring, "Ring", bpy.context.scene.collection)
    thing.modifiers.new("Displace", "DISPLACE").strength = 0.2
    thing.modifiers.new("Smooth", "SMOOTH").iterations = 5
    changed = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert edges(changed)[0] == 0


def test_it_is_closed_in_the_scene_file(ring, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    write_ply(tmp_path / "splats.ply", random_splats(10))
    shutil.copy(ring, tmp_path / "mesh.glb")
    assert edges(make_scene(tmp_path).objects["Mesh"].data)[0] == 0
