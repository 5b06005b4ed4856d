"""The key layout of single-file checkpoints, as the published ones have it: the inverse of what diffusers' loader does.

Names follow the code that the models were trained with: CompVis' latent diffusion (U-Net and VAE, the attention of the
VAE as 1x1 convolutions), OpenAI's CLIP by transformers, and OpenCLIP with q, k and v in one matrix.
"""

from __future__ import annotations

import re

import torch
from safetensors.torch import save_file

UNET = "model.diffusion_model."
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def replaced(name, table):
    for old, new in table.items():
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
    return name


def unet_block(name, layers, attention_levels):
    """The original name of one block of the U-Net, with what follows it."""
    place, level, kind, number, rest = re.fullmatch(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name
    ).groups()
    level, number = int(level), int(number)
    first = level * (layers + 1) + (1 if place == "down" else 0)
    start = "input_blocks" if place == "down" else "output_blocks"
    if kind == "downsamplers":
        return f"{start}.{first + layers}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"{start}.{first + layers}.{2 if level in attention_levels else 1}.{rest}"
    if kind == "resnets":
        return f"{start}.{first + number}.0.{replaced(rest, RESNET)}"
    return f"{start}.{first + number}.1.{rest}"


def unet_name(name, config):
    levels = {i for i, block in enumerate(config["up_block_types"]) if "CrossAttn" in block}
    if name.startswith(("down_blocks.", "up_blocks.")):
        return unet_block(name, config["layers_per_block"], levels)
    for old, new in (("mid_block.resnets.0", 0), ("mid_block.attentions.0", 1), ("mid_block.resnets.1", 2)):
        if name.startswith(old + "."):
            return f"middle_block.{new}.{replaced(name[len(old) + 1 :], RESNET)}"
    return replaced(name, OUTSIDE)


def original_unet(state, config):
    return {UNET + unet_name(name, config): value for name, value in state.items()}


def vae_name(name, levels):
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if match := re.fullmatch(r"(.*)mid_block\.attentions\.0\.(.*)", name):
        name = f"{match[1]}mid.attn_1.{replaced(match[2], VAE_ATTENTION)}"
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def original_vae(state, config):
    found = {vae_name(name, len(config["block_out_channels"])): value for name, value in state.items()}
    convolved = {
        name: value[:, :, None, None] if "attn_1" in name and value.ndim == 2 else value
        for name, value in found.items()
    }
    return {f"first_stage_model.{name}": value for name, value in convolved.items()}


def original_clip(state, start="cond_stage_model.transformer."):
    names = {f"{start}text_model.{name}": value for name, value in state.items()}
    return names | {f"{start}text_model.embeddings.position_ids": torch.arange(77)[None]}


def original_open_clip(state, start="cond_stage_model.model."):
    """OpenCLIP's text encoder; without a projection in `state` it gets one, and a last layer that nobody uses."""
    state = {name.removeprefix("text_model."): value for name, value in state.items()}
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    width = found["positional_embedding"].shape[1]
    if "text_projection.weight" in state:
        found["text_projection"] = state["text_projection.weight"].T
    else:
        found["text_projection"] = torch.ones(width, width)
    for name, value in state.items():
        if match := re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)", name):
            block, rest = f"transformer.resblocks.{match[1]}.", match[2]
            if ".q_proj." in rest:
                parts = [state[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
                found[block + "attn.in_proj_" + rest.rpartition(".")[2]] = torch.cat(parts)
            elif ".k_proj." not in rest and ".v_proj." not in rest:
                found[block + replaced(rest, OPEN_CLIP)] = value
    if "text_projection.weight" not in state:
        last = {name.replace("resblocks.0.", "resblocks.23."): value for name, value in found.items() if ".0." in name}
        found |= {name: value for name, value in last.items() if "resblocks.23." in name}
    return {start + name: value for name, value in found.items()}


def original_pipeline(pipeline):
    """All tensors of a pipeline in the layout of its family's published checkpoint."""
    encoder, second = pipeline.text_encoder.state_dict(), getattr(pipeline, "text_encoder_2", None)
    tensors = original_unet(pipeline.unet.state_dict(), pipeline.unet.config)
    tensors |= original_vae(pipeline.vae.state_dict(), pipeline.vae.config)
    if second is not None:
        tensors |= original_clip(encoder, "conditioner.embedders.0.transformer.")
        return tensors | original_open_clip(second.state_dict(), "conditioner.embedders.1.model.")
    linear = pipeline.unet.config.use_linear_projection
    return tensors | (original_open_clip(encoder) if linear else original_clip(encoder))


def save_original(pipeline, file, metadata=None, without=(), **more):
    """Write a pipeline as a single file, `without` the tensors whose names begin so, and with some `more`."""
    tensors = {
        name: value for name, value in original_pipeline(pipeline).items() if not name.startswith(tuple(without))
    }
    save_file({name: value.contiguous().clone() for name, value in (tensors | more).items()}, file, metadata)
    return file
