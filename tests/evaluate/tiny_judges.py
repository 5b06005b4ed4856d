"""Tiny random judges in their folder formats: the real classes, with a few thousand weights."""

import json
import math

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "apple", "desk", "lamp", ",", "view"]


def linear(name, out, into):
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention(name, width, seen):
    return {
        **linear(f"{name}.self.query", width, width),
        **linear(f"{name}.self.key", width, seen),
        **linear(f"{name}.self.value", width, seen),
        **linear(f"{name}.output.dense", width, width),
        **norm(f"{name}.output.LayerNorm", width),
    }


def shapes(width=128, text=64, inner=96):
    """Every weight of a tiny ImageReward by the authors' names: two layers of each encoder, 32 px in 8 px patches."""
    vision, words, found = "blip.visual_encoder", "blip.text_encoder", {}
    found |= {f"{vision}.cls_token": (1, 1, width), f"{vision}.pos_embed": (1, 17, width)}
    found |= {f"{vision}.patch_embed.proj.weight": (width, 3, 8, 8), f"{vision}.patch_embed.proj.bias": (width,)}
    for layer in range(2):
        block, other = f"{vision}.blocks.{layer}", f"{words}.encoder.layer.{layer}"
        found |= norm(f"{block}.norm1", width) | norm(f"{block}.norm2", width)
        found |= linear(f"{block}.attn.qkv", 3 * width, width) | linear(f"{block}.attn.proj", width, width)
        found |= linear(f"{block}.mlp.fc1", 4 * width, width) | linear(f"{block}.mlp.fc2", width, 4 * width)
        found |= attention(f"{other}.attention", text, text) | attention(f"{other}.crossattention", text, width)
        found |= linear(f"{other}.intermediate.dense", inner, text) | linear(f"{other}.output.dense", text, inner)
        found |= norm(f"{other}.output.LayerNorm", text)
    found |= norm(f"{vision}.norm", width) | norm(f"{words}.embeddings.LayerNorm", text)
    found |= {f"{words}.embeddings.word_embeddings.weight": (len(VOCABULARY), text)}
    found |= {f"{words}.embeddings.position_embeddings.weight": (40, text)}
    return found | linear("mlp.layers.0", 16, text) | linear("mlp.layers.2", 8, 16) | linear("mlp.layers.4", 1, 8)


def waves(index, name, shape):
    """Numbers that need no generator."""
    values = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * (1.7 + 0.1 * index) + index)
    values = values * (0.5 if len(shape) > 1 else 0.2)
    gain = name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "LayerNorm.weight"))
    return (values + gain).float().view(shape)


def save_image_reward(folder):
    """In the authors' format."""
    folder.mkdir(exist_ok=True)
    state = {name: waves(index, name, shape) for index, (name, shape) in enumerate(sorted(shapes().items()))}
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    torch.save(state, folder / "ImageReward.pt")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_clip(folder, seed=0):
    """CLIP of one layer, whose words are letters."""
    torch.manual_seed(seed)
    folder.mkdir()
    words = {token: i for i, token in enumerate([*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdeplr")])}
    words |= {"<|startoftext|>": len(words), "<|endoftext|>": len(words) + 1}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    text = SMALL | {"vocab_size": len(words), "max_position_embeddings": 77, "eos_token_id": len(words) - 1}
    vision = SMALL | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def save_dino(folder):
    """DINOv2 of one layer."""
    torch.manual_seed(0)
    config = Dinov2Config(**{k: v for k, v in SMALL.items() if k != "intermediate_size"}, image_size=32)
    Dinov2Model(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def save_blip(folder):
    """BLIP of one layer, which captions in a handful of words."""
    torch.manual_seed(0)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    text = SMALL | {"vocab_size": len(VOCABULARY), "encoder_hidden_size": 16, "max_position_embeddings": 64}
    text |= {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0, "projection_dim": 8}
    vision = SMALL | {"image_size": 32, "patch_size": 16}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=8, image_text_hidden_size=8)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    pixels = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(pixels, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


class Pooled(torch.nn.Module):
    """As the TorchScript Inception is called: the mean colour as features, its shares as probabilities."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = x.float().mean((2, 3))
        return features if return_features else (features + 1) / (features + 1).sum(1, keepdim=True)


def save_inception(file):
    torch.jit.script(Pooled()).save(str(file))
    return file
