"""Objects of splats whose truth is known."""

import numpy as np
import torch

from backend.scenes.splats import Splats
from backend.studies.bench.mesh import discs


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
