"""A tiny ImageReward in the authors' format, the small kit as a prior, and three finished runs with it."""

import json
import math

import pytest
import torch
from kits import make_small_kit

from backend.cli.main import main

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


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """The folder of the small kit."""
    return str(make_small_kit(tmp_path_factory.mktemp("kits") / "small"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory, kit):
    """Two seeds of one job and one of another, a few steps each."""
    root = tmp_path_factory.mktemp("runs")
    for objective, seed in (("sds", 0), ("sds", 1), ("csd", 0)):
        folder = root / f"{objective}-{seed}"
        job = {"prompt": "a red apple", "objective": objective, "seed": seed, "prior": kit, "quality": "draft"}
        job["recipe"] = {"steps": 2, "views": 1}
        (root / "job.json").write_text(json.dumps(job))
        assert main(["generate", "--job", str(root / "job.json"), "--out", str(folder)]) == 0
    return root


@pytest.fixture
def image_reward_folder(tmp_path):
    state = {name: waves(index, name, shape) for index, (name, shape) in enumerate(sorted(shapes().items()))}
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    torch.save(state, tmp_path / "ImageReward.pt")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return tmp_path
