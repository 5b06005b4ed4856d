"""Models in the published sizes with random weights, as folders in diffusers' format that the real loader reads.

With `small`, tiny ones of the same kinds.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import memory_peak
import tiny_pipelines
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig

from backend.hub.layout import UNUSED_PARTS
from backend.priors.clip_words import CONFIGS, clip_tokenizer
from backend.priors.loading import Denoiser
from backend.priors.single_file import ENCODER_CLASSES
from backend.priors.stable_diffusion import StableDiffusion

SHIPPED = {"sd-512": "sd2", "sdxl": "sdxl"}  # families -> configurations
TINY = {"sd-512": "epsilon", "sd-768": "v_prediction", "sdxl": "xl", "if": "if"}


def model_folder(family: str, scratch: Path, small: bool) -> Path:
    """The folder of a model of a family, written when it is first asked for."""
    folder = scratch / f"model-{family}"
    if not (folder / "model_index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if small:
            tiny_pipelines.BUILDERS[TINY[family]](folder)
        elif family == "sd-768":
            _larger_pictures(model_folder("sd-512", scratch, small), folder)
        else:
            _write(SHIPPED[family], folder)
    return folder


def _write(family: str, folder: Path) -> None:
    """Random numbers are drawn on the card and written in half precision."""
    source = CONFIGS / family
    torch.manual_seed(0)
    with torch.device("cuda"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(source / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(source / "vae"))
        encoders = {
            part.name: ENCODER_CLASSES[part.name](CLIPTextConfig.from_pretrained(part))
            for part in sorted(source.glob("text_encoder*"))
        }
    networks = {name: network.half().cpu() for name, network in {"unet": unet, "vae": vae, **encoders}.items()}
    del unet, vae, encoders
    torch.cuda.empty_cache()
    tokenizers = {part.name: clip_tokenizer(part) for part in sorted(source.glob("tokenizer*"))}
    kind = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    scheduler = DDIMScheduler.from_config(DDIMScheduler.load_config(source / "scheduler"))
    kind(**networks, **tokenizers, scheduler=scheduler, **UNUSED_PARTS[kind.__name__]).save_pretrained(folder)


def _larger_pictures(source: Path, folder: Path) -> None:
    """Stable Diffusion 2.1: the networks of 2.1-base, which predict v at 768 pixels; its weights are links."""
    shutil.copytree(source, folder, copy_function=os.link)
    for file, change in (("unet", {"sample_size": 96}), ("scheduler", {"prediction_type": "v_prediction"})):
        (path,) = (folder / file).glob("*config.json")
        config = json.loads(path.read_text()) | change
        path.unlink()  # or the link's other end would change too
        path.write_text(json.dumps(config))


def deepfloyd(device: torch.device) -> StableDiffusion:
    """DeepFloyd IF's first stage, without text encoder and without files."""
    with torch.device(device):
        unet = UNet2DConditionModel(**memory_peak.UNETS["if"])
    unet = unet.half().to(memory_format=torch.channels_last).eval().requires_grad_(False)
    torch.cuda.empty_cache()
    pipeline: Any = SimpleNamespace(components={}, vae_scale_factor=8)
    return StableDiffusion(pipeline, Denoiser(unet, DDPMScheduler().alphas_cumprod, "epsilon"))
