"""Initial splats: a grey ball, a point cloud, or flat discs on the surface of a mesh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from backend.render import SH_C0
from backend.scenes.mesh_edges import MeshEdges
from backend.scenes.meshes import InitialError, load_surface
from backend.scenes.number import largest
from backend.scenes.splats import Splats

__all__ = ["InitialError", "discs", "from_mesh", "point_cloud", "sphere"]

# Sigma in the plane, in units of the distance to the neighbours: of 0.4 to 1 this renders a sphere best (18.3 dB at
# 64 px), with 2000 discs and with 4000.
DISC_WIDTH = 0.65
DISC_THICKNESS = 0.1  # sigma along the normal, in units of that in the plane
NEIGHBOURS = 3
SOLID = 0.9


def sphere(
    count: int,
    radius: float,
    generator: torch.Generator,
    *,
    shape: Literal["ball", "blob"] = "ball",
    opacity: float = 0.1,
) -> Splats:
    """`count` grey splats spread evenly in a ball (DreamGaussian), or as a Gaussian blob of two sigma `radius`."""
    directions = torch.randn(count, 3, generator=generator)
    if shape == "blob":
        points = directions * radius / 2
    else:
        distances = radius * torch.rand(count, 1, generator=generator) ** (1 / 3)
        points = torch.nn.functional.normalize(directions, dim=-1) * distances
    return point_cloud(points, torch.full((count, 3), 0.5), opacity=opacity)


def point_cloud(points: Tensor, colours: Tensor, *, opacity: float = 0.1) -> Splats:
    """Round splats at points (N,3) with colours (N,3) in [0,1], as large as the distance to their neighbours (3DGS)."""
    if not (torch.isfinite(points).all() and torch.isfinite(colours).all()):
        raise InitialError("The initial points have NaN or infinite values: remove those points.")
    sigma = _neighbour_distance(points)
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(len(points), 1)
    return _splats(points, quats, sigma[:, None].repeat(1, 3), colours, opacity)


def discs(points: Tensor, normals: Tensor, colours: Tensor, *, opacity: float = SOLID) -> Splats:
    """Flat splats at points (N,3) on a surface with unit normals (N,3); colours (N,3) in [0,1].

    The third axis is the thin one and points along the normal.
    """
    sigma = DISC_WIDTH * _neighbour_distance(points)
    scales = sigma[:, None] * torch.tensor([1.0, 1.0, DISC_THICKNESS])
    return _splats(points, _turn_z_to(normals), scales, colours, opacity)


def from_mesh(
    path: str | Path,
    count: int,
    generator: torch.Generator,
    warn: Callable[[str], None] = lambda _: None,
    most: int | None = None,
) -> tuple[Splats, Tensor]:
    """About `count` splats on the surface in a mesh file, and the matrix (4,4) from the unit ball to its place.

    The object's bounding box is centred and its farthest vertex is at distance 1, as the prior's cameras frame it.  OBJ
    and glTF are Y-up and are turned to Z-up as Blender's importers do.  A file of points gives round splats, at most
    `count`; one of splats gives those, and if there are more than `most` the largest.  `warn` gets a sentence for what
    could not be used.  Raises InitialError in one sentence.
    """
    surface = load_surface(Path(path))
    centre, radius = surface.bounding_sphere()
    for note in surface.notes:
        warn(note)
    if surface.splats is not None:
        if most is not None and len(surface.splats) > most:
            warn(f"Of the {len(surface.splats):,} splats of {Path(path).name} only the {most:,} largest are used.")
        return in_ball(surface.splats, centre, radius, most), _to_world(centre, radius)
    seed = int(torch.randint(2**31, (), generator=generator))
    places, normals, seen = surface.sample(count, np.random.default_rng(seed))
    points, colours, to_world = _tensor((places - centre) / radius), _tensor(seen), _to_world(centre, radius)
    if normals is None:
        return point_cloud(points, colours, opacity=SOLID), to_world
    flat = discs(points, _tensor(normals), colours)
    sigma = radius * flat.log_scales[:, 0].double().exp().numpy()
    rows, quats, trimmed = MeshEdges.of(surface.meshes, float(np.median(sigma)) / 2).trim(places, normals, sigma)
    flat.quats[rows] = _tensor(quats)
    flat.log_scales[rows, :2] = _tensor(np.log(trimmed / radius))
    return flat, to_world


def in_ball(splats: Splats, centre: NDArray[np.float64], radius: float, most: int | None = None) -> Splats:
    """Splats moved and scaled into the unit ball; of more than `most` those that cover the most."""
    if most is not None:
        splats = largest(splats, most)
    means = (splats.means.double() - torch.from_numpy(centre)) / radius
    return replace(splats, means=means.float(), log_scales=splats.log_scales - math.log(radius))


def _to_world(centre: NDArray[np.float64], radius: float) -> Tensor:
    to_world = np.eye(4)
    to_world[:3, :3] *= radius
    to_world[:3, 3] = centre
    return _tensor(to_world)


def _splats(points: Tensor, quats: Tensor, scales: Tensor, colours: Tensor, opacity: float) -> Splats:
    logits = torch.full((len(points),), math.log(opacity / (1 - opacity)))
    return Splats(points.float(), quats, scales.log(), logits, ((colours - 0.5) / SH_C0)[:, None].float())


def _neighbour_distance(points: Tensor) -> Tensor:
    """Root mean square distance to the nearest points (N,), never 0: duplicate points get a tenth of the median."""
    neighbours = min(NEIGHBOURS, len(points) - 1)
    if neighbours < 1:
        return torch.full((len(points),), 0.1)
    distances, _ = cKDTree(points.numpy()).query(points.numpy(), k=neighbours + 1)
    rms = np.sqrt(np.square(distances[:, 1:]).mean(1))
    return _tensor(np.maximum(rms, 0.1 * np.median(rms) + 1e-6))


def _turn_z_to(normals: Tensor) -> Tensor:
    """Quaternions (N,4) wxyz of the shortest turns from +Z to the unit normals (N,3)."""
    x, y, z = normals.unbind(-1)
    quats = torch.stack([1 + z, -y, x, torch.zeros_like(z)], -1)
    # For straight down the shortest turn is not unique; take half a turn about x.
    quats = torch.where((z < -1 + 1e-6)[:, None], quats.new_tensor([0.0, 1.0, 0.0, 0.0]), quats)
    return torch.nn.functional.normalize(quats, dim=-1)


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
