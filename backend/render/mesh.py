"""A textured mesh as differentiable pictures with alpha, on every device, without nvdiffrast.

As in "Modular primitives for high-performance differentiable rendering" (Laine et al. 2020, nvdiffrast's paper): which
face a pixel sees has no gradient; what is interpolated on it has; and an analytic antialiasing at the end gives the
silhouettes one.  Here a silhouette is found by walking from face to face between two pixels, as the faces of our meshes
are smaller than pixels, of which the paper's own method would miss most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.render.mesh_geometry import cross, pixel_rays, seen_from
from backend.render.mesh_visibility import silhouettes, visible
from backend.render.texture_fetch import fetch
from backend.tensors import rows


@dataclass(frozen=True)
class MeshTopology:
    """What does not change while a mesh is optimised: faces (F,3) int64, neighbours (F,3) as `neighbours_of` finds
    them, and the uvs (F,3,2) of the faces' corners, v upwards."""

    faces: Tensor
    neighbours: Tensor
    uvs: Tensor


def draw_mesh(
    vertices: Tensor, topology: MeshTopology, texture: Tensor, viewmats: Tensor, intrinsics: Tensor, width: int,
    height: int, tints: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Pictures of a mesh from B cameras, with gradient to vertices and texture; nothing is lit.

    vertices (V,3) in metres, texture (S,S,3) with the top row at v = 1, viewmats (B,4,4) world to camera, intrinsics
    (B,3,3) in pixels; all of one type.  tints (V,3) are added to the texture's colours, interpolated on the faces.
    Faces nearer than NEAR, behind the camera, or with numbers that are not finite are not drawn; both sides of a face
    are.

    Returns rgb (B,H,W,3) times alpha, alpha (B,H,W,1), and z (B,H,W,1) times alpha.
    """
    points = vertices @ viewmats[:, :3, :3].mT + viewmats[:, None, :3, 3]
    with torch.no_grad():
        seen = seen_from(points, topology.faces, intrinsics, width, height)
        xs, ys = pixel_rays(intrinsics, width, height)
        faces, z = visible(seen, xs, ys)
        edges = silhouettes(seen, topology.neighbours, xs, ys, faces, z)
    pixels = _shaded(points, topology, texture, intrinsics, (xs, ys), faces, tints)
    smooth = _antialiased(pixels, points, topology.faces, (xs, ys), z, edges)
    return smooth[..., :3], smooth[..., 3:4], smooth[..., 4:]


Rays = tuple[Tensor, Tensor]


def _shaded(
    points: Tensor, topology: MeshTopology, texture: Tensor, intrinsics: Tensor, rays: Rays, faces: Tensor,
    tints: Tensor | None,
) -> Tensor:  # fmt: skip
    """Colour, 1 and z (B,H,W,5) of what the pixels see; 0 where they see nothing."""
    camera, i, j = torch.nonzero(faces >= 0, as_tuple=True)
    face = faces[camera, i, j]
    seen = topology.faces[face]
    corners = rows(points.flatten(0, 1), camera[:, None] * points.shape[1] + seen)
    weights = barycentrics(corners, rays[0][camera, j], rays[1][camera, i])
    uvs = (weights[..., None] * topology.uvs[face]).sum(1)
    z = (weights * corners[..., 2]).sum(1)
    focal = intrinsics[camera, 0, 0] * intrinsics[camera, 1, 1]
    colours = fetch(texture, uvs, _footprint(corners.detach(), topology.uvs[face], focal, len(texture)))
    if tints is not None:
        colours = colours + (weights[..., None] * rows(tints, seen)).sum(1)
    flat = torch.cat([colours, torch.ones_like(z)[:, None], z[:, None]], -1)
    empty = torch.zeros(*faces.shape, 5, dtype=points.dtype, device=points.device)
    return empty.index_put((camera, i, j), flat)


def barycentrics(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Weights (P,3) of the corners (P,3,3), in the camera's axes, where rays (x, y, 1) meet the faces' planes."""
    sides = [cross(corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]) for k in range(3)]
    shares = torch.stack([x * side[:, 0] + y * side[:, 1] + side[:, 2] for side in sides], -1)
    total = shares.sum(-1, keepdim=True)
    return shares / torch.where(total == 0, 1, total)


def _footprint(corners: Tensor, uvs: Tensor, focal_squared: Tensor, size: int) -> Tensor:
    """The side (P,), in texels, of the square that a pixel covers on a face, seen as it is turned."""
    one, other = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    texels = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).abs() * size * size
    det = (cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum(-1).abs()
    pixels = focal_squared * det / corners[..., 2].prod(-1).abs().clamp(min=1e-12)
    return (texels / pixels.clamp(min=1e-12)).sqrt()


def _antialiased(pixels: Tensor, points: Tensor, faces: Tensor, rays: Rays, z: Tensor, edges: Tensor) -> Tensor:
    """Pixels (B,H,W,C) with those beside a silhouette blended by how much of them it leaves (Laine et al., 3.6).

    Steep edges blend pixels side by side, flat ones those above each other: both would blend twice what is slanted.
    """
    camera, below, i, j = torch.nonzero(edges >= 0, as_tuple=True)
    height, width = pixels.shape[1:3]
    k, m = i + below, j + 1 - below
    front = z[camera, i, j] <= z[camera, k, m]
    edge = edges[camera, below, i, j]
    ends = torch.stack([faces[edge // 3, edge % 3], faces[edge // 3, (edge + 1) % 3]], 1)
    plane = cross(*rows(points.flatten(0, 1), camera[:, None] * points.shape[1] + ends).unbind(1))
    here, there = _side(plane, rays, camera, i, j), _side(plane, rays, camera, k, m)
    here, there = torch.where(front, here, there), torch.where(front, there, here)
    reach = here / (here - there)  # from the nearer pixel's centre to the edge, as a share of the way to the other
    flat, one, other = pixels.flatten(0, 2), (camera * height + i) * width + j, (camera * height + k) * width + m
    nearer, farther = torch.where(front, one, other), torch.where(front, other, one)
    blends = (plane[:, 0].abs() >= plane[:, 1].abs()) == (below == 0)
    change = torch.where(blends, reach - 0.5, 0)[:, None] * (
        flat.index_select(0, nearer) - flat.index_select(0, farther)
    )
    return flat.index_add(0, torch.where(reach > 0.5, farther, nearer), change).view(pixels.shape)


def _side(plane: Tensor, rays: Rays, camera: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The product (P,) of the planes with the rays of pixels."""
    return rays[0][camera, j] * plane[:, 0] + rays[1][camera, i] * plane[:, 1] + plane[:, 2]
