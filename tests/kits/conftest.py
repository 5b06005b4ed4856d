"""Mesh files of known shape and colour."""

import numpy as np
import pytest
import trimesh
from trimesh.visual import ColorVisuals

from backend.kits import photograph


@pytest.fixture
def coarse(monkeypatch):
    """Enough discs to see what it is."""
    monkeypatch.setattr(photograph, "DISCS", 4000)


def painted(mesh, colour):
    """The mesh in one colour (0..255)."""
    mesh.visual = ColorVisuals(mesh, face_colors=np.tile([*colour, 255], (len(mesh.faces), 1)))
    return mesh


def write_box(file, colour=(200, 30, 30), size=(1, 1, 2)):
    painted(trimesh.creation.box(size), colour).export(file)
    return file
