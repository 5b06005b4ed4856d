"""Two functions of gsplat's strategies that it has for CUDA only, in torch: they run on every device."""

from __future__ import annotations

import torch
from gsplat.cuda._torch_impl import _quat_scale_to_covar_preci
from gsplat.strategy import ops
from torch import Tensor


def use_torch_twins() -> None:
    """Replace two CUDA-only functions of gsplat by torch functions, which run on every device."""
    ops.compute_relocation = relocation
    ops.quat_scale_to_covar_preci = _covariances


def relocation(opacities: Tensor, scales: Tensor, ratios: Tensor, binoms: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities (N,) and scales (N,3) of splats of which `ratios` (N,) are at one place, so that their sum stays.

    Equation 9 of 3DGS-MCMC; binoms (M,M) holds C(n,k), and M bounds the ratios.
    """
    most = binoms.shape[0]
    n = ratios.clamp(1, most).long()
    shared = 1 - (1 - opacities) ** (1 / n)
    k = torch.arange(most, device=binoms.device)
    sums = torch.cat([binoms.new_zeros(1, most), binoms.cumsum(0)])[n]  # Σ_{i<=n} C(i-1,k)
    terms = sums * (-1.0) ** k / torch.sqrt(k + 1.0) * shared[:, None] ** (k + 1)
    return shared, (opacities / terms.sum(-1))[:, None] * scales


def _covariances(
    quats: Tensor, scales: Tensor, compute_covar: bool = True, compute_preci: bool = True, triu: bool = False
) -> tuple[Tensor, Tensor]:
    quats = torch.nn.functional.normalize(quats, dim=-1)
    covariances: tuple[Tensor, Tensor] = _quat_scale_to_covar_preci(quats, scales, compute_covar, compute_preci, triu)
    return covariances
