"""The published models' networks by the configurations that ship, without numbers: they take no memory."""

from __future__ import annotations

from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig

from backend.priors.clip_words import CONFIGS
from backend.priors.single_file import ENCODER_CLASSES


class FullSize:
    """The networks that the shipped configurations describe, without numbers."""

    def __init__(self, family):
        folder = CONFIGS / family
        with init_empty_weights():
            self.unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))
            self.vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))
            for part in sorted(folder.glob("text_encoder*")):
                config = CLIPTextConfig.from_pretrained(part)
                setattr(self, part.name, ENCODER_CLASSES[part.name](config))
