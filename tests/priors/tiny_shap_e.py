"""A tiny random Shap-E in diffusers' folder format: the real classes, with a few thousand weights.

Its renderer sees the place alone, without the waves of its encoding, so that its surface is smooth, and its colour is
COLOUR everywhere.  The table of marching cubes, which the real model carries among its weights, is
worked out here.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import torch
from diffusers import HeunDiscreteScheduler, PriorTransformer, ShapEPipeline
from diffusers.pipelines.shap_e import ShapERenderer
from tiny_pipelines import clip_config, clip_tokenizer
from torch import Tensor
from transformers import CLIPTextModelWithProjection

WIDTH, HIDDEN = 32, 8
COLOUR = (0.9, 0.5, 0.1)  # sRGB
CORNERS = list(product((0, 1), repeat=3))  # x, y, z
# The edges of a cube in the decoder's order: four along x, then y, then z; (start, axis).
EDGES = [
    *(((0, y, z), 0) for z in (0, 1) for y in (0, 1)),
    *(((x, 0, z), 1) for z in (0, 1) for x in (0, 1)),
    *(((x, y, 0), 2) for y in (0, 1) for x in (0, 1)),
]


def marching_cubes() -> tuple[Tensor, Tensor]:
    """The decoder's buffers: up to five triangles of edges for each case (256,5,3), and which are used (256,5)."""
    cases, masks = torch.zeros(256, 5, 3, dtype=torch.long), torch.zeros(256, 5, dtype=torch.bool)
    for case in range(256):
        triangles = [(loop[0], loop[i], loop[i + 1]) for loop in loops(case) for i in range(1, len(loop) - 1)]
        for row, triangle in enumerate(triangles):
            cases[case, row], masks[case, row] = torch.tensor(triangle), True
    return cases, masks


def loops(case: int) -> list[list[int]]:
    """The polygons of cut edges that separate the corners inside from those outside."""
    near: dict[int, list[int]] = {}
    for axis, side in product(range(3), (0, 1)):
        for one, other in segments(case, axis, side):
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
    found, left = [], set(near)
    while left:
        loop = [min(left)]
        while True:
            left.discard(loop[-1])
            onward = [edge for edge in near[loop[-1]] if edge in left]
            if not onward:
                break
            loop.append(onward[0])
        found.append(loop)
    return found


def segments(case: int, axis: int, side: int) -> list[tuple[int, int]]:
    """Lines between cut edges on one face of the cube; where all four are cut, corners inside are cut off singly."""
    ring = [(0, 0), (1, 0), (1, 1), (0, 1)]
    corners = [(*pair[:axis], side, *pair[axis:]) for pair in ring]
    inside = [case >> (x + 2 * y + 4 * z) & 1 for x, y, z in corners]
    edges = [edge_between(corners[i], corners[(i + 1) % 4]) for i in range(4)]
    cut = [i for i in range(4) if inside[i] != inside[(i + 1) % 4]]
    if len(cut) == 4:
        return [(edges[i - 1], edges[i]) for i in range(4) if inside[i]]
    return [(edges[cut[0]], edges[cut[1]])] if cut else []


def edge_between(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    axis = next(i for i in range(3) if one[i] != other[i])
    return EDGES.index((min(one, other), axis))


def save_shap_e(folder: Path, distance: float = 0.0) -> Path:
    """A whole pipeline; `distance` is added to the signed distance: far below 0 there is no surface."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    shapes = ((HIDDEN, 93), *((HIDDEN, HIDDEN),) * 3)
    renderer = ShapERenderer(param_shapes=shapes, d_latent=WIDTH, d_hidden=HIDDEN, n_output=12)
    renderer.mesh_decoder.cases[:], renderer.mesh_decoder.masks[:] = marching_cubes()
    last = renderer.mlp.mlp[-1]
    with torch.no_grad():
        first = renderer.params_proj.projections["nerstf__mlp__0__weight"]
        first.norm.weight[3:] = first.proj.bias.view(HIDDEN, -1)[:, 3:] = 0
        last.bias[0] = distance
        last.weight[3:6], last.bias[3:6] = 0, torch.tensor(COLOUR).logit()
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=16, embedding_dim=WIDTH, num_embeddings=4 * HIDDEN,
        embedding_proj_dim=WIDTH, time_embed_dim=4 * WIDTH, num_layers=1, clip_embed_dim=2 * WIDTH,
        additional_embeddings=0, time_embed_act_fn="gelu", norm_in_type="layer", encoder_hid_proj_type=None,
        added_emb_type=None,
    )  # fmt: skip
    scheduler = HeunDiscreteScheduler(
        beta_schedule="exp", num_train_timesteps=1024, prediction_type="sample", use_karras_sigmas=True,
        clip_sample=True, clip_sample_range=1.0,
    )  # fmt: skip
    encoder = CLIPTextModelWithProjection(clip_config(len(tokenizer), WIDTH, projection_dim=WIDTH))
    ShapEPipeline(prior, encoder, tokenizer, scheduler, renderer).save_pretrained(folder)
    return folder
