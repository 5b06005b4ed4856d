"""Discs beside the edges of a mesh: the splats and the mesh that is made of them are as large as what they lie on."""

import numpy as np
import pytest
import torch
import trimesh
from gsplat.utils import normalized_quat_to_rotmat

from backend.export.mesh import extract_mesh
from backend.scenes.initial import from_mesh
from backend.scenes.mesh_edges import REACH, MeshEdges

SHAPES = {
    "box": trimesh.creation.box((0.8, 0.6, 1.0)),
    "plate": trimesh.creation.box((1.0, 1.0, 0.1)),
    "rod": trimesh.creation.cylinder(0.3, 1.0),
    "ball": trimesh.creation.icosphere(4),
}


def started(tmp_path, mesh, count=8000):
    mesh.export(tmp_path / "start.ply")
    splats, to_scene = from_mesh(tmp_path / "start.ply", count, torch.Generator().manual_seed(0))
    return splats, to_scene.numpy()


@pytest.mark.parametrize("name", SHAPES)
def test_a_mesh_of_fresh_splats_is_as_large_as_what_they_lie_on(tmp_path, name):
    """But for two voxels of the surface's grid on each side; before, discs stood out by four."""
    splats, to_scene = started(tmp_path, SHAPES[name])
    found = trimesh.transform_points(extract_mesh(splats).vertices, to_scene)
    off = (np.ptp(found, axis=0) - SHAPES[name].extents) / 2 / to_scene[0, 0]
    assert np.abs(off).max() < 0.02
    assert np.abs((found.max(0) + found.min(0)) / 2).max() < 0.01


@pytest.mark.parametrize("name", ["box", "plate"])
def test_no_disc_extends_over_an_edge(tmp_path, name):
    """Each axis of a disc, to the sigmas at which it ends, lies inside of the box."""
    splats, to_scene = started(tmp_path, SHAPES[name], 3000)
    axes = normalized_quat_to_rotmat(splats.quats) * splats.log_scales.exp()[:, None]
    tips = torch.cat([splats.means + sign * REACH * axes[:, :, k] for k in (0, 1) for sign in (-1, 1)]).numpy()
    out = np.abs(trimesh.transform_points(tips, to_scene)) - SHAPES[name].extents / 2
    assert np.quantile(out.max(1), 0.98) < 0.002
    assert out.max() < 0.02


def test_edges_are_where_faces_meet_at_an_angle_or_end():
    box = MeshEdges.of([SHAPES["box"]], 0.01)
    on = np.isclose(np.abs(box.points), SHAPES["box"].extents / 2).sum(1)
    assert (on >= 2).all()  # of three coordinates: an edge, not the diagonal of a side
    assert len(box.points) == pytest.approx(4 * 240, rel=0.03)
    assert not len(MeshEdges.of([SHAPES["ball"]], 0.01).points)
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    assert len(MeshEdges.of([sheet], 0.01).points) == pytest.approx(400, rel=0.03)


def test_seams_of_textures_are_not_edges():
    ball = SHAPES["ball"]
    corners = ball.vertices[ball.faces].reshape(-1, 3)
    torn = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=False)
    assert not len(MeshEdges.of([torn], 0.01).points)


def test_a_mesh_turned_inside_out_starts_as_large(tmp_path):
    inverted = SHAPES["box"].copy()
    inverted.invert()
    one, other = (started(tmp_path, mesh)[0] for mesh in (SHAPES["box"], inverted))
    sizes = [float(splats.log_scales.exp().mean()) for splats in (one, other)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
