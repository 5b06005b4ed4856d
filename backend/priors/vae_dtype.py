"""In which precision a VAE computes: half where its numbers fit, as measured on the VAE itself.

The first SDXL VAE exceeds what half precision can hold, and its configuration says so (`force_upcast`); many later ones
do not but have copied the line, and twice the memory would be spent for nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HEADROOM = 4.0  # between what the probes reach and the largest number of a precision
SIDE = 64  # pixels of the probes


def fit_precision(vae: Any, wanted: torch.dtype) -> Any:
    """A VAE that was loaded in float32, in the precision that fits it, ready for steps in little memory."""
    vae = vae.to(fitting_dtype(vae, wanted))
    vae.enable_gradient_checkpointing()  # going back block by block halves the memory of a step
    return vae


def fitting_dtype(vae: Any, wanted: torch.dtype) -> torch.dtype:
    """The first precision that holds what goes through a VAE (in float32): `wanted`, then bfloat16, then float32.

    bfloat16 is left out on cards that only emulate it.
    """
    if wanted is torch.float32:
        return wanted
    largest = largest_activation(vae)
    fits = torch.isfinite(largest) and HEADROOM * float(largest) <= torch.finfo(wanted).max
    return wanted if fits else _wide_range(vae.device)


@torch.no_grad()
def largest_activation(vae: Any) -> Tensor:
    """The largest magnitude in any layer while a few pictures are encoded and decoded again; a scalar."""
    seen = torch.zeros((), device=vae.device)

    def look(_module: Any, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            torch.maximum(seen, output.abs().max().float(), out=seen)

    hooks = [module.register_forward_hook(look) for module in vae.modules()]
    try:
        vae.decode(vae.encode(probes(vae.device, vae.dtype)).latent_dist.mode())
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def probes(device: torch.device, dtype: torch.dtype) -> Tensor:
    """White, black, a chessboard and noise, (4,3,SIDE,SIDE) in [-1,1]."""
    plain = torch.ones(3, SIDE, SIDE)
    ramp = torch.arange(SIDE)
    board = ((ramp[:, None] // 8 + ramp // 8) % 2 * 2.0 - 1).expand(3, SIDE, SIDE)
    noise = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.stack([plain, -plain, board, noise]).to(device, dtype)


def _wide_range(device: torch.device) -> torch.dtype:
    """A precision with the range of float32."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32
