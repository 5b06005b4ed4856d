"""Splats as viser takes them, of files and of messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.render import SH_C0, rotation_matrices
from backend.scenes.splats import Splats
from shared import messages

Array = NDArray[Any]


@dataclass(frozen=True)
class Gaussians:
    """N splats: centers (N,3), covariances (N,3,3), rgbs (N,3) and opacities (N,1) in [0,1], all float32."""

    centers: Array
    covariances: Array
    rgbs: Array
    opacities: Array

    def __len__(self) -> int:
        return len(self.centers)


def of_splats(splats: Splats) -> Gaussians:
    """Of splats that were read from a file."""
    opacities = splats.opacity_logits.sigmoid()
    return _gaussians(splats.means, splats.quats, splats.log_scales.exp(), opacities, splats.sh)


def of_message(splats: messages.Splats) -> Gaussians:
    """Of splats that a server has sent, whose values are activated."""
    parts = (splats.means, splats.quats, splats.scales, splats.opacities, splats.sh)
    return _gaussians(*(torch.tensor(np.asarray(part)) for part in parts))


def _gaussians(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, sh: Tensor) -> Gaussians:
    """viser draws one colour from every side, so of the harmonics it takes the constant one."""
    axes = rotation_matrices(torch.nn.functional.normalize(quats, dim=-1)) * scales[:, None, :]
    rgbs = (0.5 + SH_C0 * sh[:, 0]).clamp(0, 1)
    return Gaussians(*(part.numpy() for part in (means, axes @ axes.transpose(1, 2), rgbs, opacities[:, None])))
