"""Files of weights as ComfyUI and A1111 have them: the names of the real tensors, a few numbers each."""

import torch
from safetensors.torch import save_file

UNET = "model.diffusion_model."
ATTENTION = UNET + "input_blocks.1.1.proj_in.weight"
TEXT = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
COMMON = {UNET + "input_blocks.0.0.weight": (8, 4, 3, 3), "first_stage_model.decoder.conv_in.weight": (4, 4, 3, 3)}
SHAPES = {
    "SD 1.5": COMMON | {ATTENTION: (8, 8, 1, 1), "cond_stage_model.transformer.text_model.a": (4,)},
    "SD 2.1-base": COMMON | {ATTENTION: (8, 8), "cond_stage_model.model.ln_final.bias": (4,)},
    "SDXL": COMMON
    | {
        UNET + "label_emb.0.0.weight": (4, 4),
        "conditioner.embedders.0.transformer.text_model.a": (4,),
        "conditioner.embedders.1.model.ln_final.bias": (4,),
    },
    "LoRA": {TEXT: (4, 2048), TEXT.replace("down.weight", "up.weight"): (8, 4)},
    "VAE": {"first_stage_model.decoder.conv_in.weight": (4, 4, 3, 3)},
}


def save(file, kind, **metadata):
    """A file of one of the kinds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(shape) for name, shape in SHAPES[kind].items()}, file, metadata or None)
    return file
