"""Tiny random pipelines with CLIP's whole vocabulary, as single files and with the configurations to load them by."""

from __future__ import annotations

import shutil

import tiny_pipelines as tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from original_layout import save_original
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from backend.priors.clip_words import CONFIGS, clip_tokenizer

WORDS = 49408
NOTHING_ELSE = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
SAYS_EPS = {"modelspec.prediction_type": "epsilon"}


def scheduler(**options):
    return DDIMScheduler(**tiny.DDIM, **options)


def sd1(**options):
    torch.manual_seed(1)
    return StableDiffusionPipeline(
        vae=tiny.vae(),
        text_encoder=CLIPTextModel(tiny.clip_config(WORDS, 32)),
        tokenizer=clip_tokenizer(CONFIGS / "sd1/tokenizer"),
        unet=tiny.unet(),
        scheduler=scheduler(**options),
        **NOTHING_ELSE,
    )


def sd2(**options):
    torch.manual_seed(2)
    return StableDiffusionPipeline(
        vae=tiny.vae(),
        text_encoder=CLIPTextModel(tiny.clip_config(WORDS, 16, hidden_act="gelu")),
        tokenizer=clip_tokenizer(CONFIGS / "sd2/tokenizer"),
        unet=tiny.unet(use_linear_projection=True, attention_head_dim=(2, 4), cross_attention_dim=16),
        scheduler=scheduler(**options),
        **NOTHING_ELSE,
    )


def sdxl(**options):
    torch.manual_seed(3)
    return StableDiffusionXLPipeline(
        vae=tiny.vae(force_upcast=True, scaling_factor=0.13025),
        text_encoder=CLIPTextModel(tiny.clip_config(WORDS, 16)),
        text_encoder_2=CLIPTextModelWithProjection(
            tiny.clip_config(WORDS, 24, projection_dim=24, hidden_act="gelu"),
        ),
        tokenizer=clip_tokenizer(CONFIGS / "sdxl/tokenizer"),
        tokenizer_2=clip_tokenizer(CONFIGS / "sdxl/tokenizer_2"),
        unet=tiny.unet(
            use_linear_projection=True,
            transformer_layers_per_block=(1, 2),
            cross_attention_dim=40,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24 + 6 * 8,
        ),
        scheduler=scheduler(**options),
        add_watermarker=False,
    )


FAMILIES = {"sd1": sd1, "sd2": sd2, "sdxl": sdxl}


class Tiny:
    """A pipeline of each family: its folder in diffusers' format, and its single file."""

    def __init__(self, folder):
        self.configs = folder / "configs"
        self.pipelines = {family: build() for family, build in FAMILIES.items()}
        self.folders = {family: folder / family for family in FAMILIES}
        self.files = {family: folder / f"{family}.safetensors" for family in FAMILIES}
        for family, pipeline in self.pipelines.items():
            pipeline.save_pretrained(self.folders[family])
            save_original(pipeline, self.files[family], SAYS_EPS)
            no_weights = shutil.ignore_patterns("*.safetensors", "tokenizer*")
            shutil.copytree(self.folders[family], self.configs / family, ignore=no_weights)
            for tokenizer in (CONFIGS / family).glob("tokenizer*"):
                shutil.copytree(tokenizer, self.configs / family / tokenizer.name)
