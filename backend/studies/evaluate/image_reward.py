"""ImageReward (Xu et al., 2304.05977): predicts how much people like a picture for a prompt, a number around 0.

A BLIP text encoder processes the prompt with cross-attention to the picture; five linear layers turn its first token
into a number.  The authors' package pins a transformers of 2022 and needs torchvision, so their weights are loaded into
transformers' own BLIP: the names of the text encoder are the same, those of the picture encoder are not (`RENAMED`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from transformers import BertTokenizer, BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

from backend.state import below

WEIGHTS, WORDS = "ImageReward.pt", "vocab.txt"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of pictures, as CLIP's
SCORE_MEAN, SCORE_STD = 0.16717362830052426, 1.0333394966054072  # of rewards, in the authors' code
LONGEST = 35  # tokens of a prompt
HEAD = 64  # features of an attention head, in every BLIP
EMBEDDINGS = "embeddings.word_embeddings.weight"
RENAMED = (
    ("cls_token", "embeddings.class_embedding"),
    ("pos_embed", "embeddings.position_embedding"),
    (r"patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"blocks\.(\d+)\.norm", r"encoder.layers.\1.layer_norm"),
    (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"blocks\.(\d+)\.attn\.", r"encoder.layers.\1.self_attn."),
    (r"blocks\.(\d+)\.", r"encoder.layers.\1."),
    (r"norm\.", "post_layernorm."),
)
Reward = Callable[[Tensor, str], Tensor]


def image_reward(folder: str) -> Reward:
    """Load it from a folder with the authors' ImageReward.pt and the vocab.txt of bert-base-uncased.

    Returns a function of pictures (B,H,W,3) in [0,1] and a prompt that gives a number each (B,).  Raises OSError or
    ValueError where a file is missing, damaged or of another model.
    """
    vision, text, mlp = _networks(Path(folder) / WEIGHTS)
    if not (Path(folder) / WORDS).exists():
        raise ValueError(f"there is no {WORDS} of bert-base-uncased beside {WEIGHTS}")
    tokenizer = BertTokenizer.from_pretrained(folder)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    side = vision.config.image_size

    @torch.no_grad()
    def reward(pictures: Tensor, prompt: str) -> Tensor:
        x = nn.functional.interpolate(pictures.movedim(-1, 1), (side, side), mode="bicubic", antialias=True)
        image_tokens = vision((x.clamp(0, 1) - mean) / std).last_hidden_state
        tokens = tokenizer(prompt, padding="max_length", truncation=True, max_length=LONGEST, return_tensors="pt")
        text_tokens = text(
            tokens["input_ids"].expand(len(x), -1),
            attention_mask=tokens["attention_mask"].expand(len(x), -1),
            encoder_hidden_states=image_tokens,
        ).last_hidden_state
        scores: Tensor = (mlp(text_tokens[:, 0]) - SCORE_MEAN) / SCORE_STD
        return scores[:, 0]

    return reward


def _networks(file: Path) -> tuple[BlipVisionModel, BlipTextModel, nn.Sequential]:
    """Picture encoder, text encoder and the layers after them, from the authors' file of weights."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        state = {name: value for name, value in state.items() if not name.endswith("position_ids")}
        image_state, text_state, head = (
            below(state, part) for part in ("blip.visual_encoder.", "blip.text_encoder.", "mlp.")
        )
        return _vision(image_state), _text(text_state, image_state["cls_token"].shape[-1]), _mlp(head)
    except (AttributeError, EOFError, KeyError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{file.name} is damaged, or does not have ImageReward's weights") from error


def _depth(state: dict[str, Tensor], pattern: str) -> int:
    """The number of layers: the highest index plus one."""
    return 1 + max(int(found[1]) for name in state if (found := re.match(pattern, name)))


def _vision(state: dict[str, Tensor]) -> BlipVisionModel:
    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=len(state["blocks.0.mlp.fc1.weight"]),
        num_hidden_layers=_depth(state, r"blocks\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD),
        image_size=patch * round((state["pos_embed"].shape[1] - 1) ** 0.5),
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    network = BlipVisionModel(config)
    _fill(network, {_renamed(name): value for name, value in state.items()})
    return network


def _renamed(name: str) -> str:
    """A name of the picture encoder's weights, as in transformers."""
    for old, new in RENAMED:
        name, found = re.subn(f"^{old}", new, name)
        if found:
            break
    return name


def _text(state: dict[str, Tensor], image_width: int) -> BlipTextModel:
    words, width = state[EMBEDDINGS].shape
    config = BlipTextConfig(
        vocab_size=words,
        hidden_size=width,
        encoder_hidden_size=image_width,
        intermediate_size=len(state["encoder.layer.0.intermediate.dense.weight"]),
        num_hidden_layers=_depth(state, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD),
        max_position_embeddings=len(state["embeddings.position_embeddings.weight"]),
    )
    network = BlipTextModel(config, add_pooling_layer=False)
    _fill(network, state)
    return network


def _mlp(state: dict[str, Tensor]) -> nn.Sequential:
    """The linear layers, without the dropout between them."""
    numbers = sorted({int(name.split(".")[1]) for name in state})
    weights = [state[f"layers.{number}.weight"] for number in numbers]
    layers = nn.Sequential(*(nn.Linear(weight.shape[1], weight.shape[0]) for weight in weights))
    _fill(
        layers, {f"{numbers.index(int(n))}.{kind}": v for name, v in state.items() for _, n, kind in [name.split(".")]}
    )
    return layers


def _fill(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Give the network exactly these weights, frozen.  RuntimeError where names or shapes differ."""
    network.load_state_dict(state)
    network.eval().requires_grad_(False)
