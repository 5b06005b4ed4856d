"""The overlap of a mesh's outline and its splats'."""

import pytest
import torch
import trimesh

from backend.cameras import orbit
from backend.export.mesh import as_surface
from backend.scenes.initial import discs
from backend.studies.evaluate.outline import SIDE, filled, overlap


def ball(radius):
    return as_surface(trimesh.creation.icosphere(subdivisions=4, radius=radius))


def test_a_ball_is_a_circle():
    """Its outline is seen under asin(r / d)."""
    cameras = orbit(3)
    half = torch.tan(torch.asin(0.5 / cameras.distance)) * cameras.intrinsics(SIDE, SIDE)[:, 0, 0]
    areas = filled(ball(0.5), cameras).sum((1, 2))
    assert areas == pytest.approx((torch.pi * half**2).numpy(), rel=0.04)


def test_a_mesh_of_another_size_overlaps_by_the_areas():
    normals = torch.from_numpy(trimesh.creation.icosphere(subdivisions=4).vertices).float()
    splats = discs(0.6 * normals, normals, torch.full_like(normals, 0.5))
    assert overlap(splats, ball(0.6)) > 0.95
    assert overlap(splats, ball(0.3)) == pytest.approx(0.25, abs=0.03)
