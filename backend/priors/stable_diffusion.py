"""Any text-to-image model of the Stable Diffusion family as a prior: SD 1.x and 2.x, SDXL, DeepFloyd IF stage 1.

A model is a folder in diffusers' format, the id of one on the Hugging Face hub, or a single-file checkpoint
(`single_file`).  LoRAs are fused into it (`lora_files`).  Its networks are loaded once, by diffusers' own classes, and
the text is encoded by the pipeline's own `encode_prompt`, so that SDXL's two encoders and IF's T5 need no code here.
The families differ in two things only: SDXL adds pooled text and picture sizes to the condition, and IF has no VAE,
its samples being the pixels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from backend.cameras import Cameras
from backend.errors import reason
from backend.hub.layout import UNUSED_PARTS
from backend.priors.base import Condition, PriorError
from backend.priors.card_memory import check_room, family_of
from backend.priors.checkpoint_header import is_file_name, read_header
from backend.priors.checkpoint_kind import token_width
from backend.priors.clip_words import CONFIGS
from backend.priors.loading import (
    Denoiser,
    free_bytes,
    load_denoiser,
    load_frozen,
    pictures,
    pixels,
    read_config,
    variant,
    weight_files,
    weights_dtype,
)
from backend.priors.lora import LoRA
from backend.priors.lora_files import ReadLoRA, fuse_loras, read_loras, refuse_other_families
from backend.priors.model_folder import find_model
from backend.priors.settings import LoRAFile
from backend.priors.single_file import Checkpoint, load_checkpoint
from backend.priors.text_encoder import TextEncoder
from backend.priors.vae_dtype import fit_precision


class StableDiffusion:
    """A diffusers pipeline as a `Prior`; `pipeline` has the tokenizers, text encoders and perhaps a `vae`."""

    channels = 3
    cameras: Cameras | None = None

    def __init__(self, pipeline: Any, denoiser: Denoiser, notes: Sequence[str] = ()) -> None:
        self.pipeline, self.denoiser, self.notes = pipeline, denoiser, list(notes)
        self.vae = pipeline.components.get("vae")
        self.alphas_cumprod, self.device = denoiser.alphas_cumprod, denoiser.device
        self.scaling_factor: float = 1 if self.vae is None else self.vae.config.scaling_factor
        self.image_size: int = denoiser.unet.config.sample_size * (1 if self.vae is None else pipeline.vae_scale_factor)
        self.family = family_of(denoiser.unet.config)
        self.texts = TextEncoder(pipeline, self.device, denoiser.dtype, self.image_size)

    @property
    def weight_bytes(self) -> int:
        """What the networks take that stay on the device."""
        networks = [self.denoiser.unet] + ([] if self.vae is None else [self.vae])
        weights = [weight for network in networks for weight in network.parameters()]
        return sum(weight.numel() * weight.element_size() for weight in weights)

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,3) in [0,1] -> x: scaled latents (B,4,h,w), or pixels in [-1,1] for IF; with gradient.

        We take the mode of the VAE's Gaussian.  Its standard deviation is far below the noise that is added next, so
        sampling would only make runs differ.
        """
        x = pixels(images, self.image_size)
        if self.vae is None:
            return x
        return torch.cat([self._encode_view(view) for view in torch.split(x, 1)])

    def _encode_view(self, x: Tensor) -> Tensor:
        latents: Tensor = self.vae.encode(x.to(self.vae.dtype)).latent_dist.mode()
        return latents.float() * self.scaling_factor

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        """x (B,C,h,w) -> pictures (B,H,W,3) in [0,1]."""
        if self.vae is None:
            return pictures(x)
        return pictures(self.vae.decode((x / self.scaling_factor).to(self.vae.dtype)).sample)

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """B texts -> tokens (B,77,D); these models know the camera only from the text."""
        return Condition.cat(self.texts.conditions(texts))

    @torch.no_grad()
    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,C,h,w) for x_t at integer levels t (B,): one forward of the U-Net, without gradient."""
        return self._eps(self.denoiser, x_t, t, condition)

    def twin(self, rank: int, seed: int) -> LoRA:
        """A twin with low-rank weights of its own in the attention layers.

        Like the prior, it knows the camera only from view words in the prompt; ProlificDreamer adds a learned embedding
        of the camera's matrix, which would need thousands of steps to be useful.
        """
        return LoRA(self.denoiser, self._eps, rank, seed)

    def _eps(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return denoiser.eps(x_t, t, condition.tokens, added_cond_kwargs=condition.extra or None)


def load_stable_diffusion(
    model: str | Path, device: torch.device | str, loras: Sequence[LoRAFile] = (), configs: Path = CONFIGS
) -> StableDiffusion:
    """Load a model from its folder or single file, or by its hub id from the cache or the hub; with LoRAs fused.

    `configs` describes the networks of single files, by family.

    Raises:
        PriorError: no such model, one of another kind, one whose files are missing or damaged, or one that is too
            large for the card; or such a LoRA.
    """
    device = torch.device(device)
    read = read_loras(loras)
    if is_file_name(model):
        header = read_header(model, "prior")
        if width := token_width(header):
            refuse_other_families(read, width, str(model))
        loaded = load_checkpoint(header, weights_dtype(device), device, configs)
    else:
        loaded = _load_folder(model, device, read)
    notes = fuse_loras(loaded.pipeline, read, str(model))
    return StableDiffusion(loaded.pipeline, loaded.denoiser, (*loaded.notes, *notes))


def _load_folder(model: str | Path, device: torch.device, loras: Sequence[ReadLoRA]) -> Checkpoint:
    """A model in diffusers' format; `loras` will be fused into it."""
    folder, name = find_model(model)
    config = read_config(UNet2DConditionModel, folder / "unet")
    if loras:
        refuse_other_families(loras, config.get("cross_attention_dim", 1280), str(model))  # diffusers' default
    check_room(str(model), family_of(config), free_bytes(device))
    dtype = weights_dtype(device)
    denoiser = load_denoiser(folder, dtype, device)
    networks = {"unet": denoiser.unet}
    if (folder / "vae").is_dir():
        networks["vae"] = fit_precision(load_frozen(AutoencoderKL, folder / "vae", torch.float32, device), dtype)
    return Checkpoint(_load_pipeline(folder, networks, dtype, UNUSED_PARTS[name]), denoiser, ())


def _load_pipeline(folder: Path, networks: dict[str, Any], dtype: torch.dtype, unused: dict[str, Any]) -> Any:
    """The pipeline around networks that are already loaded, with its tokenizers and text encoders."""
    for encoder in sorted(folder.glob("text_encoder*")):
        weight_files(encoder)  # its error names a damaged file, unlike transformers'
    options = {"dtype": dtype, "variant": variant(folder / "unet"), "use_safetensors": True, "local_files_only": True}
    try:
        pipeline = DiffusionPipeline.from_pretrained(folder, **networks, **options, **unused)
    except (OSError, ValueError, ImportError) as error:
        raise PriorError(f"{folder} cannot be loaded ({reason(error)}): download it again") from error
    for part, tokenizer in pipeline.components.items():
        # A tokenizer without its vocabulary loads without an error, but knows no words.
        if part.startswith("tokenizer") and len(tokenizer) <= 1 + len(tokenizer.all_special_ids):
            raise PriorError(f"{folder / part} has no vocabulary: download that folder again")
    return pipeline
