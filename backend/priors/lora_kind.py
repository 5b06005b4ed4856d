"""What a LoRA file is, told from its header: its format, and the model that it was made for."""

from __future__ import annotations

import re

from backend.priors.checkpoint_header import Header

NETWORKS = ("unet.", "text_encoder.", "text_encoder_2.")  # how diffusers' names begin
LAYER = re.compile(r"lora[._](down|up|A|B|linear_layer)\b|_lora\.(down|up)\.")
FIRST_MATRIX = re.compile(
    r"(\.lora_A|\.lora_down|\.lora_linear_layer\.down|\.lora\.down|_lora\.down)\.weight$"
)  # what follows a layer
# Kinds of adapters that are stored like LoRAs, but that diffusers cannot load as one.
OTHER_KINDS = {
    "hada_w1_a": "a LoHa (LyCORIS)",
    "lokr_w": "a LoKr (LyCORIS)",
    "oft_": "an OFT",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "b1_diff": "a GLoRA",
}
# The layer that reads the text's tokens has as many inputs as these have numbers: what tells the families apart.
CROSS_ATTENTION = re.compile(r"attn2[._](?:processor[._])?to_[kv].*(?:lora_down|lora_A|down)\.weight$")
MADE_FOR = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
OTHER_MODELS = (
    (("double_blocks", "single_blocks", "single_transformer_blocks"), "Flux"),
    (("joint_blocks",), "Stable Diffusion 3"),
    (("lora_transformer", "transformer.", "diffusion_model.", "lora_prior"), "a model of another kind"),
)


def tokens_of(width: int) -> str:
    """The family of models whose texts are tokens of this many numbers."""
    return MADE_FOR.get(width, f"a model with tokens of {width} numbers")


def is_lora(header: Header) -> bool:
    """Whether a file has a LoRA's layers, or those of one of the kinds that are stored like it."""
    return any(LAYER.search(name) or other_kind(name) for name in header.shapes)


def other_kind(name: str) -> str:
    """What the adapter with this tensor is, if it is not a plain LoRA; else ""."""
    return next((kind for mark, kind in OTHER_KINDS.items() if mark in name), "")


def made_for(header: Header) -> str:
    """The model family that a LoRA was made for, as far as its header tells; else ""."""
    widths = {shape[1] for name, shape in header.shapes.items() if CROSS_ATTENTION.search(name) and len(shape) > 1}
    if len(widths) == 1:
        return tokens_of(widths.pop())
    for marks, title in OTHER_MODELS:
        if any(mark in name for name in header.shapes for mark in marks):
            return title
    if header.any("lora_te2_", "text_encoder_2."):
        return "Stable Diffusion XL"
    return ""


def pairs(header: Header) -> int:
    """How many layers a LoRA changes: each has one matrix A, called "down" in the older formats."""
    return sum(bool(FIRST_MATRIX.search(name)) for name in header.shapes)
