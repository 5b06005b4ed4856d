"""`mesh_kernel` for every device: numba's on the CPU, the same in torch elsewhere, to the last bit."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.render.cpu import kernel_threads
from backend.render.mesh_geometry import NEAR, FacesSeen
from backend.render.mesh_kernel import MOST_FACES_CROSSED

AT_ONCE = 1 << 22  # pairs of a face and a pixel that torch holds in memory together
NOTHING = torch.iinfo(torch.int64).max


def visible(seen: FacesSeen, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """faces (B,H,W) int64, -1 where there is none, and z (B,H,W), infinite there; xs (B,W), ys (B,H)."""
    return (visible_by_numba if xs.device.type == "cpu" else visible_by_torch)(seen, xs, ys)


def silhouettes(seen: FacesSeen, neighbours: Tensor, xs: Tensor, ys: Tensor, faces: Tensor, z: Tensor) -> Tensor:
    """As `mesh_kernel.silhouettes`: edges (B,2,H,W) int64."""
    by = silhouettes_by_numba if xs.device.type == "cpu" else silhouettes_by_torch
    return by(seen, neighbours, xs, ys, faces, z)


def visible_by_numba(seen: FacesSeen, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """On the CPU."""
    from backend.render import mesh_kernel

    faces = torch.full((len(xs), ys.shape[1], xs.shape[1]), -1, dtype=torch.int64)
    z = torch.full(faces.shape, torch.inf, dtype=xs.dtype)
    near = xs.new_tensor(NEAR).numpy()[()]
    given = (seen.planes, seen.dets, seen.boxes, xs, ys)
    with kernel_threads():
        mesh_kernel.visible(*(value.detach().contiguous().numpy() for value in given), near, faces.numpy(), z.numpy())
    return faces, z


def silhouettes_by_numba(
    seen: FacesSeen, neighbours: Tensor, xs: Tensor, ys: Tensor, faces: Tensor, z: Tensor
) -> Tensor:
    """On the CPU."""
    from backend.render import mesh_kernel

    edges = torch.full((len(xs), 2, *faces.shape[1:]), -1, dtype=torch.int64)
    given = (seen.planes, seen.dets, neighbours, xs, ys, faces, z)
    with kernel_threads():
        mesh_kernel.silhouettes(*(value.detach().contiguous().numpy() for value in given), edges.numpy())
    return edges


@torch.no_grad()
def visible_by_torch(seen: FacesSeen, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """On any device: every face with every pixel of its box, the nearest by a minimum of depth and number in one."""
    cameras, count = seen.dets.shape
    height, width = ys.shape[1], xs.shape[1]
    boxes = seen.boxes.reshape(-1, 4).long()
    across, down = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    ends = (across * down).cumsum(0)
    nearest = torch.full((cameras * height * width,), NOTHING, dtype=torch.int64, device=xs.device)
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, AT_ONCE):
        pair = torch.arange(first, min(first + AT_ONCE, total), device=xs.device)
        row = torch.searchsorted(ends, pair, right=True)  # of the faces of all cameras
        inside = pair - (ends - across * down)[row]
        i, j = boxes[row, 2] + inside // across[row], boxes[row, 0] + inside % across[row]
        camera = row // max(count, 1)
        key = _keys(seen, row, row % max(count, 1), xs[camera, j], ys[camera, i])
        nearest.scatter_reduce_(0, (camera * height + i) * width + j, key, "amin")
    found = nearest.view(cameras, height, width)
    empty = found == NOTHING
    faces = torch.where(empty, -1, found & 0xFFFFFFFF)
    return faces, _depths(seen, faces, xs, ys)


def _keys(seen: FacesSeen, row: Tensor, face: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Numbers that rise with depth, then with the face's number; NOTHING where the ray misses the face."""
    sides = _sides(seen.planes.reshape(-1, 3, 3)[row], x, y)
    total = sides[:, 0] + sides[:, 1] + sides[:, 2]
    z = (seen.dets.reshape(-1)[row] / total).float()  # float64 is for tests, where no two depths are this close
    hit = ((sides >= 0).all(-1) | (sides <= 0).all(-1)) & (total != 0) & (z > NEAR) & torch.isfinite(z)
    return torch.where(hit, (z.view(torch.int32).long() << 32) | face, NOTHING)


def _sides(planes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """On which side (P,3) of three planes (P,3,3) rays are, in the kernel's order of operations."""
    return x[:, None] * planes[..., 0] + y[:, None] * planes[..., 1] + planes[..., 2]


def _depths(seen: FacesSeen, faces: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """z (B,H,W) on the faces; infinite where there is none."""
    camera, i, j = torch.nonzero(faces >= 0, as_tuple=True)
    face = faces[camera, i, j]
    sides = _sides(seen.planes[camera, face], xs[camera, j], ys[camera, i])
    z = torch.full(faces.shape, torch.inf, dtype=xs.dtype, device=xs.device)
    z[camera, i, j] = seen.dets[camera, face] / (sides[:, 0] + sides[:, 1] + sides[:, 2])
    return z


@torch.no_grad()
def silhouettes_by_torch(
    seen: FacesSeen, neighbours: Tensor, xs: Tensor, ys: Tensor, faces: Tensor, z: Tensor
) -> Tensor:
    """On any device: all walks of `mesh_kernel` side by side."""
    edges = torch.full((len(xs), 2, *faces.shape[1:]), -1, dtype=torch.int64, device=xs.device)
    for below in range(2):
        cut = (slice(None), slice(0, -1), slice(None)) if below else (slice(None), slice(None), slice(0, -1))
        one, other = faces[cut], faces[:, 1:] if below else faces[:, :, 1:]
        camera, i, j = torch.nonzero(one != other, as_tuple=True)
        k, m = i + below, j + 1 - below
        front = z[camera, i, j] <= z[camera, k, m]
        here, there = (xs[camera, j], ys[camera, i]), (xs[camera, m], ys[camera, k])
        start = [torch.where(front, a, b) for a, b in zip(here, there, strict=True)]
        end = [torch.where(front, b, a) for a, b in zip(here, there, strict=True)]
        face = torch.where(front, faces[camera, i, j], faces[camera, k, m])
        edges[camera, below, i, j] = _walks(seen, neighbours, camera, face, start, end)
    return edges


def _walks(
    seen: FacesSeen, neighbours: Tensor, camera: Tensor, face: Tensor, start: list[Tensor], end: list[Tensor]
) -> Tensor:
    found, walking = torch.full_like(face, -1), torch.ones_like(face, dtype=torch.bool)
    for _ in range(MOST_FACES_CROSSED):
        ahead = seen.dets[camera, face] > 0
        turn, planes = torch.where(ahead, 1, -1)[:, None], seen.planes[camera, face]
        here, there = turn * _sides(planes, *start), turn * _sides(planes, *end)
        share = torch.where((there < 0) & (here > there), here / (here - there), torch.inf)
        first, leaves = share.min(-1)
        walking = walking & torch.isfinite(first)
        beyond = neighbours[face, leaves]
        last = walking & ((beyond < 0) | ((seen.dets[camera, beyond] > 0) != ahead))
        found = torch.where(last, 3 * face + leaves, found)
        walking = walking & ~last
        face = torch.where(walking, beyond, face)
    return found
