"""How the vertices of a mesh may move: together with their neighbours, at a price, and without turning a face over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from backend.render.mesh_geometry import cross
from backend.tensors import rows

ATTEMPTS = 3  # to take back a step only where faces have turned over


@dataclass(frozen=True)
class Neighbourhood:
    """The vertices beside each of V vertices: (V,D), where there are fewer than D the vertex itself; counts (V,1)."""

    beside: Tensor
    counts: Tensor

    @classmethod
    def of(cls, faces: NDArray[np.int64], vertices: int, device: torch.device) -> Neighbourhood:
        """From faces (F,3)."""
        halves = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        both = np.unique(np.concatenate([halves, halves[:, ::-1]]), axis=0)
        both = both[both[:, 0] != both[:, 1]]
        counts = np.bincount(both[:, 0], minlength=vertices)
        rank = np.arange(len(both)) - (counts.cumsum() - counts)[both[:, 0]]
        beside = np.repeat(np.arange(vertices)[:, None], max(int(counts.max(initial=0)), 1), 1)
        beside[both[:, 0], rank] = both[:, 1]
        return cls(torch.from_numpy(beside).to(device), torch.from_numpy(counts[:, None]).to(device))

    def mean(self, values: Tensor) -> Tensor:
        """The mean (V,C) of the neighbours' values (V,C); its own where a vertex has none."""
        width = self.beside.shape[1]
        total = rows(values, self.beside).sum(1) - (width - self.counts) * values
        return torch.where(self.counts > 0, total / self.counts.clamp(min=1), values)

    def smoothed(self, values: Tensor, times: int) -> Tensor:
        """Values (V,C) that were averaged with the mean of their neighbours' so many times; differentiable."""
        result: Tensor = _Smoothed.apply(values, self, times)  # type: ignore[no-untyped-call]
        return result


class _Smoothed(torch.autograd.Function):
    """Its transpose is the same between a division and a product by the numbers of neighbours."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, around: Neighbourhood, times: int) -> Tensor:
        ctx.around, ctx.times = around, times
        return _smoothed(values, around, times)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        counts = ctx.around.counts.clamp(min=1)
        return counts * _smoothed(gradients[0] / counts, ctx.around, ctx.times), None, None


def _smoothed(values: Tensor, around: Neighbourhood, times: int) -> Tensor:
    for _ in range(times):
        values = (values + around.mean(values)) / 2
    return values


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Normals (F,3), twice as long as the face is large."""
    a, b, c = rows(vertices, faces).unbind(1)
    return cross(b - a, c - a)


def turned_over(vertices: Tensor, faces: Tensor, normals: Tensor) -> Tensor:
    """Which faces (F,) point away from these normals (F,3); one that has no direction there has not turned."""
    known = (normals != 0).any(-1)
    return known & ((face_normals(vertices, faces) * normals).sum(-1) <= 0)


def laplacian_penalty(moves: Tensor, around: Neighbourhood, length: float) -> Tensor:
    """Sum over vertices of |move - mean of the neighbours' moves|², in units of the edges' length.

    Of the moves, not of the surface, which it would shrink (uniform weights, as pytorch3d's mesh_laplacian_smoothing).
    """
    return ((moves - around.mean(moves)) / length).square().sum()


def normal_penalty(vertices: Tensor, faces: Tensor, pairs: Tensor) -> Tensor:
    """Sum over pairs (E,2) of faces with a common edge of 1 - cos of the angle between them (normal consistency)."""
    normals = face_normals(vertices, faces)
    one, other = rows(F.normalize(normals, dim=-1), pairs).unbind(1)
    return (1 - (one * other).sum(-1)).sum()
