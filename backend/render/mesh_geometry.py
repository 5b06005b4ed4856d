"""What faces are to a camera: planes through its centre and their edges, in homogeneous coordinates.

A pixel's ray meets a face where it is on one side of all three planes (Olano and Greer 1997), so that faces which reach
behind the camera need not be clipped.  The products with the ray are also the barycentric weights, correct in
perspective, but for their sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NEAR = 0.01  # metres before the camera; what is nearer is not drawn


@dataclass(frozen=True)
class FacesSeen:
    """F faces from B cameras.

    planes (B,F,3,3): the normals of the planes through the camera and the edges, edge k from corner k to the next one;
    dets (B,F): six times the volume between camera and face; boxes (B,F,4) int32: left, right, top and bottom of the
    pixels that it may cover, half open, and nothing for a face that cannot be drawn.
    """

    planes: Tensor
    dets: Tensor
    boxes: Tensor


def seen_from(points: Tensor, faces: Tensor, intrinsics: Tensor, width: int, height: int) -> FacesSeen:
    """points (B,V,3) in the cameras' axes, faces (F,3), intrinsics (B,3,3) in pixels."""
    corners = points[:, faces]
    planes = torch.stack([cross(corners[:, :, k], corners[:, :, (k + 1) % 3]) for k in range(3)], 2)
    dets = (corners[:, :, 2] * planes[:, :, 0]).sum(-1)
    return FacesSeen(planes, dets, _boxes(corners, intrinsics, width, height))


def cross(one: Tensor, other: Tensor) -> Tensor:
    """The cross product, whose sign alone changes with the order: torch's own rounds differently then, which leaves
    gaps between faces."""
    (a, b, c), (x, y, z) = one.unbind(-1), other.unbind(-1)
    return torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], -1)


def _boxes(corners: Tensor, intrinsics: Tensor, width: int, height: int) -> Tensor:
    """Faces that reach behind the camera may cover anything; those wholly behind it, or not finite, nothing."""
    z = corners[..., 2]
    whole = (z > NEAR).all(-1)
    drawn = torch.isfinite(corners).all(-1).all(-1) & (z > NEAR).any(-1)
    ends = []
    for axis, size in ((0, width), (1, height)):
        focal, centre = intrinsics[:, axis, axis, None, None], intrinsics[:, axis, 2, None, None]
        flat = focal * corners[..., axis] / z.clamp(min=NEAR) + centre - 0.5
        # One pixel more on each side than rounding could take away.
        low, high = flat.amin(-1).floor().clamp(0, size), (flat.amax(-1).ceil() + 1).clamp(0, size)
        ends += [torch.where(whole, low, 0), torch.where(whole, high, size)]
    return torch.where(drawn[..., None], torch.stack(ends, -1), 0).int()


def pixel_rays(intrinsics: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """x (B,W) and y (B,H) of the rays (x, y, 1) through the centres of the pixels."""
    found = []
    for axis, size in ((0, width), (1, height)):
        centres = torch.arange(size, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
        found.append((centres - intrinsics[:, axis, 2, None]) / intrinsics[:, axis, axis, None])
    return found[0].contiguous(), found[1].contiguous()


def neighbours_of(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """The face (F,3) beyond each edge, edge k from corner k to the next one; -1 where there is not exactly one."""
    halves = np.stack([faces, np.roll(faces, -1, axis=1)], -1).reshape(-1, 2)
    _, edge, counts = np.unique(np.sort(halves, 1), axis=0, return_inverse=True, return_counts=True)
    edge = edge.ravel()
    order = np.argsort(edge, kind="stable")
    pairs = order[np.repeat(counts == 2, counts)].reshape(-1, 2)
    beyond = np.full(len(halves), -1, np.int64)
    beyond[pairs[:, 0]], beyond[pairs[:, 1]] = pairs[:, 1] // 3, pairs[:, 0] // 3
    return beyond.reshape(-1, 3)
