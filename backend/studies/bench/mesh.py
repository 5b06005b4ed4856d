"""The time of each stage from splats to a GLB, on a torus of flat discs whose shape and colour are known."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.export.mesh import as_surface, decimated, solid_field, triangulated
from backend.export.texture import bake, unwrap, write_glb
from backend.render import SH_C0
from backend.scenes.splats import Splats

Array = NDArray[Any]
RING, TUBE = 0.6, 0.25


def torus_distance(points: Array) -> Array:
    """Signed distance (...) of points (...,3) to the torus, positive outside."""
    ring = np.hypot(points[..., 0], points[..., 1]) - RING
    return np.asarray(np.hypot(ring, points[..., 2]) - TUBE)


def torus_colour(points: Array) -> Array:
    """The colour (...,3) painted on it: stripes around the ring, along the tube and by height."""
    angle = np.arctan2(points[..., 1], points[..., 0])
    waves = (np.cos(3 * angle), np.sin(5 * angle + 4 * points[..., 2]), np.cos(12 * points[..., 2]))
    return np.stack([0.5 + 0.45 * wave for wave in waves], -1)


def discs(points: Array, normals: Array, colours: Array, opacity: float = 0.9) -> Splats:
    """Flat splats on a surface: points, unit normals, colours, each (N,3).  As wide as 0.8 of the distance to the
    nearest neighbour, a tenth as thick."""
    width = 0.8 * np.median(cKDTree(points).query(points, 2)[0][:, 1])
    # The quaternion that turns z onto the normal: half-way between the two, and a half turn for -z.
    w, x, y = 1 + normals[:, 2], -normals[:, 1], normals[:, 0]
    quats = np.stack([w, np.where(w < 1e-6, 1, x), y, np.zeros_like(w)], -1)
    count = len(points)
    return Splats(
        torch.tensor(points, dtype=torch.float32),
        torch.nn.functional.normalize(torch.tensor(quats, dtype=torch.float32), dim=-1),
        torch.tensor(np.log([width, width, 0.1 * width]), dtype=torch.float32).repeat(count, 1),
        torch.full((count,), opacity).logit(),
        ((torch.tensor(colours, dtype=torch.float32) - 0.5) / SH_C0)[:, None],
    )


def torus(count: int = 20_000, opacity: float = 0.9) -> Splats:
    """`count` discs, evenly by area, on the painted torus."""
    # The R2 sequence (Roberts 2018) leaves no gaps, unlike random points: the discs form an opaque surface.
    index = np.arange(count)
    u, area = 2 * np.pi * (index * 0.7548776662466927 % 1), index * 0.5698402909980532 % 1
    grid = np.linspace(0, 2 * np.pi, 4001)
    v = np.interp(area, (RING * grid + TUBE * np.sin(grid)) / (2 * np.pi * RING), grid)
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], -1)
    points = RING * np.stack([np.cos(u), np.sin(u), np.zeros_like(u)], -1) + TUBE * normals
    return discs(points, normals, torus_colour(points), opacity)


def mesh_rows(count: int = 20_000, faces: int = 10_000, size: int = 1024) -> list[dict[str, Any]]:
    """Seconds for each stage, warmed up (the first call compiles): rows of stage, seconds and the outcome."""
    _run(500, 500, 64)
    return _run(count, faces, size)


def _run(count: int, faces: int, size: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def timed(stage: str, work: Callable[[], Any], describe: Callable[[Any], str]) -> Any:
        start = time.perf_counter()
        result = work()
        rows.append({"stage": stage, "seconds": time.perf_counter() - start, "result": describe(result)})
        return result

    splats = torus(count)
    field, _ = timed("field", lambda: solid_field(splats, 128), lambda r: f"grid {r[0].values.shape}")
    fine = timed("marching cubes", lambda: triangulated(field), lambda mesh: f"{len(mesh.faces)} faces")
    mesh = timed("decimate", lambda: decimated(fine, faces), lambda mesh: f"{len(mesh.faces)} faces")
    surface = as_surface(mesh)
    unwrapped = timed("unwrap", lambda: unwrap(surface), lambda r: f"{len(r.vertices)} vertices")
    textured = timed("bake", lambda: bake(unwrapped, splats, size), lambda r: f"{r.seen:.1%} of the texels seen")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.glb"
        timed("glb", lambda: write_glb(textured, path, "torus"), lambda _: f"{path.stat().st_size >> 10} KiB")
    return rows
