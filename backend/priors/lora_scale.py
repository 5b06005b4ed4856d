"""The scale of each layer of a LoRA file, multiplied into its matrix A.

    W + alpha / rank * B A

kohya's files have a tensor `alpha` for each layer; diffusers' have settings for each network in their metadata.  Where
alphas differ from layer to layer, diffusers does not find those of text encoders, so we hand it every layer with the
scale 1.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from torch import Tensor

from backend.priors.checkpoint_header import Header
from backend.priors.lora_kind import FIRST_MATRIX, NETWORKS

ADAPTER_METADATA = "lora_adapter_metadata"  # diffusers' key
ALPHA = ".alpha"


def scaled(tensors: dict[str, Tensor], header: Header) -> dict[str, Tensor]:
    """The tensors in single precision, without alphas; each A (rank, ...) is multiplied by the scale of its layer."""
    alphas = {name.removesuffix(ALPHA): float(value) for name, value in tensors.items() if name.endswith(ALPHA)}
    settings = _settings(header)
    return {
        name: tensor.float() * (_scale(name, tensor.shape[0], alphas, settings) if FIRST_MATRIX.search(name) else 1)
        for name, tensor in tensors.items()
        if not name.endswith(ALPHA)
    }


def _scale(name: str, rank: int, alphas: dict[str, float], settings: dict[str, Any]) -> float:
    layer = FIRST_MATRIX.sub("", name)
    if layer in alphas:
        return alphas[layer] / rank
    network = next((start for start in NETWORKS if layer.startswith(start)), "")
    if not network or f"{network}lora_alpha" not in settings:
        return 1.0
    inner, patterns = layer.removeprefix(network), settings.get(f"{network}alpha_pattern") or {}
    own = [alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", inner)]  # as in peft
    alpha = float(own[0] if own else settings[f"{network}lora_alpha"])
    return alpha / (math.sqrt(rank) if settings.get(f"{network}use_rslora") else rank)


def _settings(header: Header) -> dict[str, Any]:
    """diffusers' settings of the adapters: "unet.lora_alpha" and so on; none where they cannot be read."""
    try:
        found = json.loads(header.metadata.get(ADAPTER_METADATA, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
