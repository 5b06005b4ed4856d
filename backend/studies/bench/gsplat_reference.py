"""gsplat 1.5.3's own PyTorch reference, `gsplat.rendering._rasterization`, made runnable without CUDA.

It is an ordinary autograd graph except for four functions that gsplat has for CUDA only.  Two of them have torch
versions in gsplat itself; the list of visible Gaussians per pixel and nerfacc's two scans are written here.  It is the
reference of the renderer's tests (in float64) and of its benchmark (in float32).
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import gsplat.cuda._torch_impl as torch_impl
import gsplat.cuda._wrapper as wrapper
import gsplat.rendering
import torch
from torch import Tensor


def rasterization(means: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """As `backend.render.rasterization`, in the dtype of `means`; a pure torch graph."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(means.dtype)  # the reference makes its pixel grid in the default type
    try:
        with (
            patch.multiple(
                gsplat.rendering,
                isect_tiles=_isect_tiles,
                isect_offset_encode=torch_impl._isect_offset_encode,
                spherical_harmonics=_spherical_harmonics,
            ),
            patch.object(wrapper, "rasterize_to_indices_in_range", _indices_in_range),
            patch.dict(sys.modules, nerfacc=_Nerfacc),
        ):
            # One pass over all Gaussians of a tile, as the CUDA kernel does.
            result: tuple[Tensor, Tensor, dict[str, Any]] = gsplat.rendering._rasterization(
                means, *args, batch_per_iter=10**6, **options
            )
            return result
    finally:
        torch.set_default_dtype(before)


def _isect_tiles(
    means2d: Tensor, radii: Tensor, depths: Tensor, tile_size: int, tile_width: int, tile_height: int, **_: Any
) -> Any:
    # The torch version packs the bits of a float32 depth into its sorting key.
    return torch_impl._isect_tiles(means2d, radii, depths.float(), tile_size, tile_width, tile_height)


def _spherical_harmonics(degree: int, directions: Tensor, sh: Tensor, masks: Tensor | None = None) -> Tensor:
    values: Tensor = torch_impl._spherical_harmonics(degree, directions, sh)
    return values


@torch.no_grad()
def _indices_in_range(
    range_start: int,
    range_end: int,
    transmittances: Tensor,
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    width: int,
    height: int,
    tile_size: int,
    isect_offsets: Tensor,
    flatten_ids: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """(Gaussian, pixel, camera) of all that is composited, per pixel in order of depth: a >= 1/255, T > 1e-4."""
    count = means2d.shape[-2]
    means2d, conics, opacities = (
        means2d.reshape(-1, count, 2),
        conics.reshape(-1, count, 3),
        opacities.reshape(-1, count),
    )
    cameras, (rows, columns) = len(means2d), isect_offsets.shape[-2:]
    starts = [*isect_offsets.flatten().tolist(), len(flatten_ids)]
    found = [torch.zeros(3, 0, dtype=torch.long)]
    for tile in range(cameras * rows * columns):
        first = starts[tile] + range_start * tile_size**2
        last = min(starts[tile] + range_end * tile_size**2, starts[tile + 1])
        if first >= last:
            continue
        camera, row, column = tile // (rows * columns), tile // columns % rows, tile % columns
        ids = flatten_ids[first:last].long() % count
        y, x = _tile_pixels(row, column, tile_size, width, height)
        alphas = _alphas(means2d[camera, ids], conics[camera, ids], opacities[camera, ids], x, y)
        before = transmittances.reshape(cameras, height, width)[camera, y, x]
        left = before[:, None] * torch.cumprod(1 - alphas, -1)
        pixel, rank = torch.nonzero((alphas > 0) & (left > 1e-4), as_tuple=True)
        found.append(torch.stack([ids[rank], (y * width + x)[pixel], torch.full_like(pixel, camera)]))
    gaussians, pixels, images = torch.cat(found, 1)
    # The scans need each ray's entries to be contiguous.
    order = torch.sort(images * (width * height) + pixels, stable=True).indices
    return gaussians[order], pixels[order], images[order]


def _tile_pixels(row: int, column: int, tile_size: int, width: int, height: int) -> tuple[Tensor, Tensor]:
    """y and x of a tile's pixels, each flat."""
    ys = torch.arange(row * tile_size, min((row + 1) * tile_size, height))
    xs = torch.arange(column * tile_size, min((column + 1) * tile_size, width))
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return y.flatten(), x.flatten()


def _alphas(means2d: Tensor, conics: Tensor, opacities: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Alpha (P,M) of M Gaussians at P pixels; 0 where it is not drawn."""
    dx, dy = means2d[:, 0] - (x[:, None] + 0.5), means2d[:, 1] - (y[:, None] + 0.5)
    a, b, c = conics.unbind(-1)
    sigma = 0.5 * (a * dx**2 + c * dy**2) + b * dx * dy
    alphas = (opacities * torch.exp(-sigma)).clamp_max(0.999)
    return torch.where((sigma < 0) | (alphas < 1 / 255), 0.0, alphas)


class _Nerfacc:
    """The two functions of nerfacc 0.5.3 that the reference imports; nerfacc's own are for CUDA only."""

    @staticmethod
    def render_weight_from_alpha(alphas: Tensor, *, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
        """Weights and transmittances of samples that are ordered ray by ray, from front to back."""
        counts = torch.bincount(ray_indices, minlength=n_rays)
        rank = torch.arange(len(alphas)) - (counts.cumsum(0) - counts)[ray_indices]
        padded = torch.ones(n_rays, int(counts.max()) + 1, dtype=alphas.dtype)
        padded = padded.index_put((ray_indices, rank + 1), 1 - alphas)
        transmittances = torch.cumprod(padded, -1)[ray_indices, rank]
        return transmittances * alphas, transmittances

    @staticmethod
    def accumulate_along_rays(weights: Tensor, values: Tensor | None, *, ray_indices: Tensor, n_rays: int) -> Tensor:
        """Σ weights · values per ray (R,D)."""
        samples = weights[:, None] if values is None else weights[:, None] * values
        return torch.zeros(n_rays, samples.shape[-1], dtype=samples.dtype).index_add(0, ray_indices, samples)
