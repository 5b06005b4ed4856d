"""LoRA files of other programs (kohya's and diffusers' formats), fused into a model before anything else uses it.

    W <- W + weight * (alpha / rank) * B A

`diffusers` and `peft` read and fuse them, into the U-Net and the text encoders; afterwards the modules are the same as
before, so that a twin's own LoRA (`lora.py`) finds what it expects.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers.utils.state_dict_utils import DIFFUSERS_OLD_TO_DIFFUSERS, convert_state_dict
from safetensors.torch import load_file
from torch import Tensor

from backend.errors import reason
from backend.priors.base import PriorError
from backend.priors.checkpoint_header import Header, read_header
from backend.priors.lora_kind import is_lora, made_for, other_kind, pairs, tokens_of
from backend.priors.lora_scale import scaled
from backend.priors.settings import LoRAFile

ADAPTER = "fused"  # peft's name for the LoRA while it is being fused
MOST_OF_REASON = 200  # characters; some of the libraries' messages list every tensor
UNFITTING = (KeyError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class ReadLoRA:
    """A LoRA file whose header was read and found to be one."""

    file: Path
    weight: float
    header: Header


def read_loras(loras: Sequence[LoRAFile]) -> list[ReadLoRA]:
    """The headers of LoRA files, before the model is loaded.

    Raises:
        PriorError: no such file, a damaged one, or one that is no LoRA.
    """
    found = [ReadLoRA(Path(one.file).expanduser(), one.weight, read_header(one.file, "LoRA")) for one in loras]
    for lora in found:
        kind = next(filter(None, map(other_kind, lora.header.shapes)), "")
        if kind:
            raise PriorError(f'LoRA "{lora.file}" is {kind}: only plain LoRAs can be used, choose one of those')
        if not is_lora(lora.header):
            raise PriorError(f'LoRA "{lora.file}" has none of the layers of a LoRA: choose a LoRA file')
    return found


def refuse_other_families(loras: Sequence[ReadLoRA], width: int, model: str) -> None:
    """PriorError for a LoRA of another family than the model whose U-Net reads tokens of `width` numbers."""
    for lora in loras:
        family = made_for(lora.header)
        if family and family != tokens_of(width):
            raise PriorError(
                f'LoRA "{lora.file}" was made for {family}, and prior "{model}" is {tokens_of(width)}: '
                "use a LoRA and a prior of the same family"
            )


def fuse_loras(pipeline: Any, loras: Sequence[ReadLoRA], model: str) -> list[str]:
    """Fuse LoRAs into the U-Net and text encoders of a pipeline; sentences on what could not be used.

    Raises:
        PriorError: a LoRA that does not fit, or has numbers that are none.
    """
    return [note for lora in loras for note in _fuse(pipeline, lora, model)]


def _fuse(pipeline: Any, lora: ReadLoRA, model: str) -> Iterator[str]:
    tensors = scaled(load_file(lora.file), lora.header)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise PriorError(f'LoRA "{lora.file}" has NaN or infinite weights: download it again, or use another one')
    parts = [name for name in pipeline._lora_loadable_modules if getattr(pipeline, name, None) is not None]
    try:
        pipeline.load_lora_weights(by_network(pipeline, tensors), adapter_name=ADAPTER)
    except UNFITTING as error:
        raise _unfitting(pipeline, lora, model, textwrap.shorten(reason(error), MOST_OF_REASON)) from error
    used, given = sum(_adapted(getattr(pipeline, name)) for name in parts), pairs(lora.header)
    if not used:
        raise _unfitting(pipeline, lora, model, "it has none of these layers")
    pipeline.fuse_lora(components=parts, lora_scale=lora.weight)
    pipeline.unload_lora_weights()
    for name in parts:
        getattr(pipeline, name).requires_grad_(False)
    if used < given:
        yield f"Not used: {given - used} of the {given} layers of {lora.file.name}; this prior does not have them."


def _unfitting(pipeline: Any, lora: ReadLoRA, model: str, why: str) -> PriorError:
    family = tokens_of(pipeline.unet.config.cross_attention_dim)
    return PriorError(
        f'LoRA "{lora.file}" does not fit prior "{model}", {family} ({why}): use a LoRA that was made for this model'
    )


def by_network(pipeline: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under diffusers' names: "unet.", "text_encoder." and so on, then the layer.

    diffusers converts kohya's names, but finishes those of text encoders only where `out_proj` is among them.
    """
    state, _ = pipeline.lora_state_dict(tensors, unet_config=pipeline.unet.config)
    texts = {name: tensor for name, tensor in state.items() if name.startswith("text_encoder")}
    others = {name: tensor for name, tensor in state.items() if name not in texts}
    renamed: dict[str, Tensor] = convert_state_dict(texts, DIFFUSERS_OLD_TO_DIFFUSERS)
    return others | renamed


def _adapted(network: Any) -> int:
    """In how many layers of a network there is a LoRA now."""
    return sum(ADAPTER in getattr(module, "lora_A", ()) for module in network.modules())
