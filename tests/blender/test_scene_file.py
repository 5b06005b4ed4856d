"""A job's folder -> scene.blend, in this process and as the demo runs it."""

import json
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from samples import JOB, TRIANGLE, write_glb, write_job

from blender_addon.scene.importers.mesh import MeshFileError, import_mesh
from blender_addon.scene.scene_file import MESH_OFFSET, main, make_scene

ROOT = Path(__file__).parents[2]


def world_vertices(thing):
    return np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])


def test_a_mesh_comes_upright_with_its_texture(tmp_path):
    mesh = import_mesh(write_glb(tmp_path / "mesh.glb"), "Thing", bpy.context.scene.collection)
    bpy.context.view_layer.update()
    x, y, z = TRIANGLE.T
    np.testing.assert_allclose(sorted(world_vertices(mesh).tolist()), sorted(np.c_[x, -z, y].tolist()), atol=1e-6)
    (material,) = mesh.data.materials
    kinds = {node.bl_idname for node in material.node_tree.nodes}
    assert {"ShaderNodeBsdfPrincipled", "ShaderNodeTexImage"} <= kinds
    assert list(bpy.data.objects) == [mesh]  # no empty root left
    assert len(mesh.data.uv_layers) == 1


@pytest.mark.parametrize("content", [None, b"", b"glTF but not really"])
def test_a_damaged_mesh_is_refused_by_name(tmp_path, content):
    file = tmp_path / "mesh.glb"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MeshFileError, match=r"mesh\.glb"):
        import_mesh(file, "Thing", bpy.context.scene.collection)


def test_the_demo_s_process_writes_a_file_that_opens(tmp_path):
    folder = write_job(tmp_path / "job")
    program = [sys.executable, "-m", "blender_addon.scene.scene_file"]
    command = [*program, str(folder), "--render", str(tmp_path / "view.png")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    collection = bpy.data.collections[JOB["prompt"]]
    splats, mesh = collection.objects["Splats"], collection.objects["Mesh"]
    assert (len(splats.data.vertices), len(mesh.data.vertices)) == (40, 3)
    for holder in (collection, splats, mesh):
        assert (holder["prompt"], holder["objective"], holder["seed"]) == (JOB["prompt"], "jsd", str(JOB["seed"]))
    bpy.context.view_layer.update()
    assert np.isclose(world_vertices(mesh)[:, 0].min(), TRIANGLE[:, 0].min() + MESH_OFFSET)
    assert all(image.packed_file for image in bpy.data.images if image.source == "FILE")
    scene = bpy.context.scene
    assert scene.camera
    assert {light.type for light in bpy.data.lights} == {"SUN"}
    picture = bpy.data.images.load(str(tmp_path / "view.png"))
    rgb = np.array(picture.pixels[:]).reshape(*reversed(picture.size), 4)[..., :3]
    red = (rgb[..., 0] > 0.6) & (rgb[..., 1] < 0.3)
    _, columns = np.nonzero(red)
    assert len(columns) > 20  # the triangle's texture, lit
    assert columns.mean() > picture.size[0] / 2  # on the right
    assert (np.ptp(rgb, axis=2) > 0.1)[:, : picture.size[0] // 2].sum() > 100  # the splats, on the left


def test_a_job_without_mesh_gives_the_splats_alone(tmp_path):
    folder = write_job(tmp_path / "job", prompt="🍎" * 40)
    (folder / "mesh.glb").unlink()
    collection = make_scene(folder)
    assert [thing.name for thing in collection.objects] == ["Splats"]
    assert collection["prompt"] == "🍎" * 40
    assert set(collection.name) == {"🍎"}


@pytest.mark.parametrize("name", ["splats.ply", "job.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_bad_folders_are_refused_in_one_sentence(tmp_path, capsys, name, content):
    folder = write_job(tmp_path / "job")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert main([str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert name in said
    assert not (folder / "scene.blend").exists()


def stood(folder, placed, scale=0.05, centre=(7.0, -3.0, 2.0)):
    """The figures of a job that began with a mesh of this radius, there."""
    matrix = np.diag([scale, scale, scale, 1.0])
    matrix[:3, 3] = centre
    (folder / "metrics.json").write_text(json.dumps({"to_scene": matrix.tolist(), "placed": placed}))
    return matrix


@pytest.mark.parametrize("placed", [True, False])
def test_what_began_with_a_mesh_stands_where_that_stood(tmp_path, placed):
    """Files that stand there already are left so, others are moved there; the camera follows."""
    folder = write_job(tmp_path / "job")
    here = make_scene(folder).objects["Splats"]
    before = world_vertices(here)
    matrix = stood(folder, placed)
    collection = make_scene(folder)
    bpy.context.view_layer.update()
    splats, mesh = collection.objects["Splats"], collection.objects["Mesh"]
    x, y, z = TRIANGLE.T
    triangle, move = np.c_[x, -z, y], np.eye(4) if placed else matrix
    for thing, points in ((splats, before), (mesh, triangle)):
        expected = points @ move[:3, :3].T + move[:3, 3]
        found = world_vertices(thing)
        order, wanted = np.lexsort(found.round(4).T), np.lexsort(expected.round(4).T)
        np.testing.assert_allclose(found[order], expected[wanted], atol=1e-4)
    assert (splats.hide_render, mesh.hide_render) == (False, True)
    distance = np.linalg.norm(np.array(bpy.context.scene.camera.location) - matrix[:3, 3])
    assert 2 * 0.05 < distance < 6 * 0.05


def test_a_scene_that_somebody_worked_in_is_kept(tmp_path, capsys):
    folder = write_job(tmp_path / "job")
    (folder / "scene.blend").write_bytes(b"a day's work")
    (folder / "scene-1.blend").write_bytes(b"another day's")
    assert main([str(folder)]) == 0
    assert (folder / "scene-2.blend").read_bytes() == b"a day's work"
    assert (folder / "scene-1.blend").read_bytes() == b"another day's"
    assert "kept as scene-2.blend" in capsys.readouterr().err
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    assert JOB["prompt"] in bpy.data.collections
