"""Any text-to-image model of the Stable Diffusion family as a prior: SD 1.x and 2.x, SDXL, DeepFloyd IF stage 1.

A model is a folder in diffusers' format or the id of one on the Hugging Face hub.  Its networks are loaded once, by
diffusers' own classes, and the text is encoded by the pipeline's own `encode_prompt`, so that SDXL's two encoders
and IF's T5 need no code here.  The families differ in two things only: SDXL adds pooled text and picture sizes to
the condition, and IF has no VAE, its samples being the pixels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from torch import Tensor

from backend.cameras import Cameras
from backend.errors import reason
from backend.hub.layout import UNUSED_PARTS
from backend.priors.base import Condition, PriorError
from backend.priors.loading import (
    Denoiser,
    load_denoiser,
    load_frozen,
    pictures,
    pixels,
    variant,
    weight_files,
    weights_dtype,
)
from backend.priors.lora import LoRA
from backend.priors.model_folder import find_model
from backend.priors.text_encoder import TextEncoder
from backend.priors.vae_dtype import fitting_dtype


class StableDiffusion:
    """A diffusers pipeline as a `Prior`; `pipeline` has the tokenizers, text encoders and perhaps a `vae`."""

    channels = 3
    cameras: Cameras | None = None

    def __init__(self, pipeline: Any, denoiser: Denoiser) -> None:
        self.pipeline, self.denoiser = pipeline, denoiser
        self.vae = pipeline.components.get("vae")
        self.alphas_cumprod, self.device = denoiser.alphas_cumprod, denoiser.device
        self.scaling_factor: float = 1 if self.vae is None else self.vae.config.scaling_factor
        self.image_size: int = denoiser.unet.config.sample_size * (1 if self.vae is None else pipeline.vae_scale_factor)
        self.texts = TextEncoder(pipeline, self.device, denoiser.dtype, self.image_size)

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,3) in [0,1] -> x: scaled latents (B,4,h,w), or pixels in [-1,1] for IF; with gradient.

        We take the mode of the VAE's Gaussian.  Its standard deviation is far below the noise that is added next, so
        sampling would only make runs differ.
        """
        x = pixels(images.to(self.device), self.image_size)
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


def load_stable_diffusion(model: str | Path, device: torch.device | str) -> StableDiffusion:
    """Load a model from its folder, or by its hub id from the cache or the hub.

    Raises:
        PriorError: no such model, one of another kind, or one whose files are missing or damaged.
    """
    device = torch.device(device)
    folder, name = find_model(model)
    dtype = weights_dtype(device)
    denoiser = load_denoiser(folder, dtype, device)
    networks = {"unet": denoiser.unet}
    if (folder / "vae").is_dir():
        vae = load_frozen(AutoencoderKL, folder / "vae", torch.float32, device)
        networks["vae"] = vae.to(fitting_dtype(vae, dtype))
        networks["vae"].enable_gradient_checkpointing()  # going back block by block halves the memory of a step
    pipeline = _load_pipeline(folder, networks, dtype, UNUSED_PARTS[name])
    return StableDiffusion(pipeline, denoiser)


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
