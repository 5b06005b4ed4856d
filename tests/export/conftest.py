"""Objects whose truth is known, extracted and baked once for all tests of this folder."""

from __future__ import annotations

import pytest

from backend.export.mesh import extract_mesh
from backend.export.texture import bake, unwrap
from backend.scenes.splats import Splats
from backend.studies.bench.mesh import torus


@pytest.fixture(scope="session")
def ring() -> Splats:
    return torus(8000)


@pytest.fixture(scope="session")
def ring_surface(ring):
    return extract_mesh(ring, resolution=96, faces=6000)


@pytest.fixture(scope="session")
def ring_textured(ring, ring_surface):
    return bake(unwrap(ring_surface, 512), ring, 512)
