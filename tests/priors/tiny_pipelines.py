"""Tiny random text-to-image pipelines in diffusers' folder format: the real classes, with a few thousand weights.

Each builder writes a whole folder (tokenizers, text encoders, U-Net, VAE, scheduler, model_index.json), so that the
tests load it just as they would load Stable Diffusion.  The tokenizers are made from scratch: nothing is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    IFPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
DDIM = BETAS | {"clip_sample": False, "steps_offset": 1}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def clip_tokenizer() -> CLIPTokenizer:
    """Letters and a few merges, padded to CLIP's 77 tokens."""
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "re", "red</w>", "ch", "air</w>", "chair</w>", "ai"]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    merges = [("r", "e"), ("re", "d</w>"), ("c", "h"), ("a", "i"), ("ai", "r</w>"), ("ch", "air</w>")]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def t5_tokenizer() -> T5Tokenizer:
    """A unigram model over letters."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [*special, ("▁", -1.0), ("▁red", -1.5), ("▁chair", -1.5), *((letter, -3.0) for letter in LETTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def clip_config(vocabulary: int, hidden: int, **options: Any) -> CLIPTextConfig:
    """A text encoder of two layers."""
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
        **options,
    )


def unet(**options: Any) -> UNet2DConditionModel:
    """Two levels, one of them with attention to the text."""
    shape = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
    }
    return UNet2DConditionModel(**(shape | options))


def vae(**options: Any) -> AutoencoderKL:
    """Two levels: latents of half the picture's side."""
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4, **levels, **options)


def save_stable_diffusion(folder: Path, scheduler: Any = None, **options: Any) -> Path:
    """Like SD 1.5 (ε) unless `scheduler` says otherwise."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config(len(tokenizer), 32)),
        tokenizer=tokenizer,
        unet=unet(),
        scheduler=scheduler or PNDMScheduler(**BETAS, steps_offset=1, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, **options)
    return folder


def save_v_prediction(folder: Path) -> Path:
    """Like SD 2.1: the U-Net's output is v."""
    return save_stable_diffusion(folder, DDIMScheduler(**DDIM, prediction_type="v_prediction"))


def save_x0_prediction(folder: Path) -> Path:
    """The U-Net's output is the clean sample."""
    return save_stable_diffusion(folder, DDIMScheduler(**DDIM, prediction_type="sample"))


def save_xl(folder: Path) -> Path:
    """Like SDXL: two text encoders, pooled text, sizes as a condition, an Euler scheduler."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    StableDiffusionXLPipeline(
        vae=vae(force_upcast=True, scaling_factor=0.13025),
        text_encoder=CLIPTextModel(clip_config(len(tokenizer), 16)),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(len(tokenizer), 16, projection_dim=24)),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=24 + 6 * 8
        ),
        scheduler=EulerDiscreteScheduler(**BETAS),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def save_if(folder: Path) -> Path:
    """Like DeepFloyd IF's first stage: pixels, T5, and a U-Net that also predicts the variance."""
    torch.manual_seed(0)
    tokenizer = t5_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=4)
    IFPipeline(
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(config),
        unet=unet(
            sample_size=16,
            in_channels=3,
            out_channels=6,
            encoder_hid_dim=32,
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
        ),
        scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


BUILDERS = {
    "epsilon": save_stable_diffusion,
    "v_prediction": save_v_prediction,
    "sample": save_x0_prediction,
    "xl": save_xl,
    "if": save_if,
}
T = torch.tensor([30, 700])


def noisy(prior, count=2):
    channels = prior.denoiser.unet.config.in_channels
    side = prior.denoiser.unet.config.sample_size
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def edit(file, **changes):
    """Change keys of a JSON file; None takes one out."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
