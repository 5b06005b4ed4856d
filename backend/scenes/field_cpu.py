"""`field_march.march` and `field_rays.sampled` on the CPU by the numba kernel, several times as fast."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from backend.render.cpu import kernel_threads
from backend.scenes import field_kernel as kernel
from backend.scenes.field_march import OUTPUTS
from backend.scenes.field_rays import Rays, Samples

Array = NDArray[Any]


def march_on_cpu(grid: Tensor, rays: Rays, samples: Samples) -> Tensor:
    """As `field_march.march`, without what lies behind 1 - DARK of opacity."""
    result: Tensor = _March.apply(grid, rays, samples)  # type: ignore[no-untyped-call]
    return result


def sampled_on_cpu(rays: Rays, coarse: Tensor, count: int, explore: float, jitter: Tensor) -> Samples:
    """As `field_rays.sampled`."""
    distances, lengths = torch.empty(len(rays), count), torch.zeros(len(rays), count)
    ends = (rays.near.numpy(), rays.far.numpy())
    with kernel_threads():
        kernel.sample(
            *(rays.origins.numpy(), rays.directions.numpy(), *ends, coarse.detach().numpy(), explore, jitter.numpy()),
            *(distances.numpy(), lengths.numpy()),
        )
    return Samples(distances, lengths)


class _March(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grid: Tensor, rays: Rays, samples: Samples) -> Tensor:
        side = grid.shape[-1]
        last = grid.detach().movedim(0, -1).reshape(-1, 4).contiguous()
        ctx.rays, ctx.samples, ctx.side = rays, samples, side
        ctx.values = torch.zeros(*samples.distances.shape, 4)
        out = torch.zeros(len(rays), OUTPUTS)
        with kernel_threads():
            kernel.forward(last.numpy(), side, *_arrays(rays, samples), ctx.values.numpy(), out.numpy())
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        lanes = torch.zeros(kernel.LANES, ctx.side**3, 4)
        given = gradients[0].contiguous().numpy()
        with kernel_threads():
            kernel.backward(ctx.side, *_arrays(ctx.rays, ctx.samples), ctx.values.numpy(), given, lanes.numpy())
        return lanes.sum(0).view(*(ctx.side,) * 3, 4).movedim(-1, 0), None, None


def _arrays(rays: Rays, samples: Samples) -> tuple[Array, ...]:
    along = (samples.distances, samples.lengths, rays.depth_per_metre)
    return tuple(value.numpy() for value in (rays.origins, rays.directions, *along))
