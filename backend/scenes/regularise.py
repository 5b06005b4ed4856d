"""Penalties on splats and their renders, each a pure function with a scalar result."""

from __future__ import annotations

import torch
from torch import Tensor


def scale_penalty(log_scales: Tensor) -> Tensor:
    """Mean sigma over splats and axes, log_scales (N,3): keeps splats small (LucidDreamer 2311.11284, 3DGS-MCMC)."""
    return log_scales.exp().mean()


def sparsity(alpha: Tensor) -> Tensor:
    """Mean of sqrt(a² + 0.01) over alpha (B,H,W,1): clears fog out of the empty space (DreamFusion 2209.14988)."""
    return (alpha.square() + 0.01).sqrt().mean()


def opaqueness(alpha: Tensor) -> Tensor:
    """Mean of a(1 - a) over alpha (B,H,W,1): 0 where every pixel is either covered or free.

    The quadratic twin of threestudio's entropy of alpha; its slope stays finite at 0 and 1.
    """
    return (alpha * (1 - alpha)).mean()


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbours across, plus that of neighbours down, of (B,H,W,C).

    Anisotropic total variation (Rudin, Osher and Fatemi 1992); a constant has 0, a checkerboard of 0 and 1 has 2.
    """
    across = pictures[:, :, 1:] - pictures[:, :, :-1]
    down = pictures[:, 1:] - pictures[:, :-1]
    return sum((d.abs().sum() / max(d.numel(), 1) for d in (across, down)), torch.zeros((), device=pictures.device))


def disparity_variation(depth: Tensor, alpha: Tensor) -> Tensor:
    """Total variation of alpha / expected depth, from accumulated depth (Σ w z) and alpha, (B,H,W,1) each.

    DreamMapping smooths disparity, not depth: near parts count more, and the background is at 0, not at infinity.
    The factor alpha makes it fade to 0 at the object's edge.
    """
    return total_variation(alpha.square() / depth.clamp(min=1e-6))
