"""Single-file checkpoints, as they lie in the folders of ComfyUI and A1111: one .safetensors with all networks.

diffusers' own single-file loader brings the tensors into its networks.  It would ask the hub for the configuration of
each network; we ship those of the three families (`single_file_configs`), so that nothing is asked and nothing is
downloaded.  Before the numbers are read, the names and shapes in the file's header are compared with the networks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    SingleFileComponentError,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    create_diffusers_clip_model_from_ldm,
)
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from backend.errors import reason
from backend.hub.layout import UNUSED_PARTS
from backend.priors.base import PriorError
from backend.priors.card_memory import check_room, family_of
from backend.priors.checkpoint_header import Header
from backend.priors.checkpoint_kind import UNET, VAE, Kind, tell_kind, usual_name
from backend.priors.clip_words import CONFIGS, clip_tokenizer
from backend.priors.loading import Denoiser, free_bytes, read_config
from backend.priors.vae_dtype import fit_precision

ENCODER_CLASSES = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
# What diffusers' loader raises for tensors that are missing or of another shape.
UNFITTING = (SingleFileComponentError, KeyError, OSError, RuntimeError, ValueError)
Tensors = dict[str, Tensor]


def _says_something(record: logging.LogRecord) -> bool:
    """diffusers 0.42 warns of the modules that are to be kept in float32 even where there are none."""
    return "kept in float32: []" not in record.getMessage()


logging.getLogger("diffusers.models.modeling_utils").addFilter(_says_something)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model: its pipeline (text encoders still on the CPU), its U-Net, and sentences on what was assumed."""

    pipeline: Any
    denoiser: Denoiser
    notes: tuple[str, ...]


def load_checkpoint(header: Header, dtype: torch.dtype, device: torch.device, configs: Path = CONFIGS) -> Checkpoint:
    """Load a checkpoint with this header; `configs` has a folder for each family.

    Raises:
        PriorError: another kind of file, one without VAE or text encoder, with networks of another shape, or too large
            for the card.
    """
    kind = tell_kind(header)
    folder = configs / kind.family
    _check_networks(header, kind, folder)
    config = read_config(UNet2DConditionModel, folder / "unet") | _unet_settings(kind)
    check_room(str(header.file), family_of(config), free_bytes(device))
    tensors = _read(header.file, kind)
    try:
        unet = _network(UNet2DConditionModel, tensors, folder, "unet", dtype, **_unet_settings(kind))
        vae = _network(AutoencoderKL, tensors, folder, "vae", torch.float32)
        encoders = {name: _encoder(name, tensors, folder, dtype) for name in _parts(folder, "text_encoder")}
    except UNFITTING as error:
        raise PriorError(
            f'prior "{header.file}" is not a whole {kind.title} checkpoint ({reason(error)}): use another one'
        ) from error
    for name, network in {"U-Net": unet, "VAE": vae, **encoders}.items():
        _refuse_missing(header.file, name.replace("_", " "), network)
    networks = {"unet": _frozen(unet, device), "vae": fit_precision(_frozen(vae, device), dtype), **encoders}
    pipeline, denoiser = _assembled(kind, folder, networks)
    return Checkpoint(pipeline, denoiser, kind.notes)


def _assembled(kind: Kind, folder: Path, networks: dict[str, Any]) -> tuple[Any, Denoiser]:
    config = read_config(DDPMScheduler, folder / "scheduler")
    config |= {"prediction_type": kind.prediction_type, "rescale_betas_zero_snr": kind.zero_terminal_snr}
    scheduler = DDPMScheduler.from_config(config)
    tokenizers = {name: clip_tokenizer(folder / name) for name in _parts(folder, "tokenizer")}
    pipeline_class = StableDiffusionXLPipeline if kind.family == "sdxl" else StableDiffusionPipeline
    unused = UNUSED_PARTS[pipeline_class.__name__]
    pipeline = pipeline_class(**networks, **tokenizers, scheduler=scheduler, **unused)
    return pipeline, Denoiser(networks["unet"], scheduler.alphas_cumprod, kind.prediction_type)


def _unet_settings(kind: Kind) -> dict[str, Any]:
    """Where the U-Net differs from its family's configuration: the v models of 2.x were trained at 768 px."""
    if kind.family == "sd2" and kind.prediction_type == "v_prediction":
        return {"sample_size": 96, "upcast_attention": True}
    return {}


def _parts(folder: Path, start: str) -> list[str]:
    return sorted(part.name for part in folder.glob(f"{start}*"))


def _read(file: Path, kind: Kind) -> Tensors:
    """All tensors by their usual names; their numbers stay on the disk until they are used."""
    return {usual_name(name, kind.family): tensor for name, tensor in load_file(file).items()}


def _network(network: Any, tensors: Tensors, folder: Path, part: str, dtype: torch.dtype, **settings: Any) -> Any:
    options = {"config": str(folder), "subfolder": part, "local_files_only": True}
    return network.from_single_file(dict(tensors), torch_dtype=dtype, **options, **settings)


def _encoder(name: str, tensors: Tensors, folder: Path, dtype: torch.dtype) -> Any:
    options = {"config": str(folder), "subfolder": name, "local_files_only": True}
    return create_diffusers_clip_model_from_ldm(ENCODER_CLASSES[name], tensors, torch_dtype=dtype, **options)


def _frozen(network: Any, device: torch.device) -> Any:
    return network.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _refuse_missing(file: Path, name: str, network: Any) -> None:
    """PriorError where tensors were not in the file: diffusers leaves them without numbers."""
    missing = [key for key, value in network.state_dict().items() if value.device.type == "meta"]
    if missing:
        raise PriorError(
            f'prior "{file}" lacks {len(missing)} tensors of its {name}, {missing[0]} among them: download it again'
        )


def _check_networks(header: Header, kind: Kind, folder: Path) -> None:
    """PriorError where U-Net or VAE are of another shape than the family's, as in distilled or extended models."""
    tensors = {usual_name(name, kind.family): tensor for name, tensor in header.on_meta().items()}
    for name, found in (("U-Net", _unet_misfits(tensors, folder)), ("VAE", _vae_misfits(tensors, folder))):
        first = next(found, None)
        if first:
            raise PriorError(
                f'prior "{header.file}" looks like a {kind.title} checkpoint, but its {name} is of another build '
                f"({first}): use a checkpoint that has the usual networks"
            )


def _unet_misfits(tensors: Tensors, folder: Path) -> Iterator[str]:
    config = read_config(UNet2DConditionModel, folder / "unet")
    given = sum(name.startswith(UNET) for name in tensors)
    yield from _misfits(UNet2DConditionModel, config, lambda: convert_ldm_unet_checkpoint(tensors, config), given)


def _vae_misfits(tensors: Tensors, folder: Path) -> Iterator[str]:
    config = read_config(AutoencoderKL, folder / "vae")
    only = {name: tensor for name, tensor in tensors.items() if name.startswith(VAE) and ".loss." not in name}
    yield from _misfits(AutoencoderKL, config, lambda: convert_ldm_vae_checkpoint(only, config), 0)


def _misfits(network: Any, config: dict[str, Any], convert: Callable[[], Tensors], given: int) -> Iterator[str]:
    """What does not fit, a phrase each; `given` tensors were converted, and more than the network has are one too."""
    with init_empty_weights():
        expected = network.from_config(config).state_dict()
    try:
        converted = convert()
    except KeyError as error:
        yield f"{error.args[0]} is missing"
        return
    for name, tensor in expected.items():
        shape = tuple(converted[name].shape) if name in converted else None
        if shape is None:
            yield f"{name} is missing"
        elif shape != tuple(tensor.shape):
            yield f"{name} is {shape} instead of {tuple(tensor.shape)}"
    if unknown := sorted(converted.keys() - expected.keys()):
        yield f"{unknown[0]} is not known"
    if given > len(converted):
        yield f"{given - len(converted)} tensors are not known"
