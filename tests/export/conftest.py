"""Objects whose truth is known, extracted and baked once for all tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.export.mesh import extract_mesh
from backend.export.texture import bake, unwrap
from backend.scenes.splats import Splats
from backend.studies.bench.mesh import discs, torus


def sphere(radius: float, count: int, centre=(0.0, 0.0, 0.0), opacity: float = 0.9) -> Splats:
    """Discs on a Fibonacci sphere, red in front (-Y), blue behind, darker below."""
    row = np.arange(count) + 0.5
    z, angle = 1 - 2 * row / count, row * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - z * z)
    normals = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], -1)
    colours = np.stack([0.5 - 0.4 * normals[:, 1], 0.5 + 0.4 * z, 0.5 + 0.4 * normals[:, 1]], -1)
    return discs(radius * normals + np.array(centre), normals, colours, opacity)


def together(*parts: Splats) -> Splats:
    names = ("means", "quats", "log_scales", "opacity_logits", "sh")
    return Splats(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


@pytest.fixture(scope="session")
def ring() -> Splats:
    return torus(8000)


@pytest.fixture(scope="session")
def ring_surface(ring):
    return extract_mesh(ring, resolution=96, faces=6000)


@pytest.fixture(scope="session")
def ring_textured(ring, ring_surface):
    return bake(unwrap(ring_surface, 512), ring, 512)
