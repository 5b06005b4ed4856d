"""Shap-E (Jun and Nichol, 2305.02463): a coloured mesh for a sentence, in seconds, as the start of a run.

A prior of its own kind: it makes 3D shapes and judges no pictures, so that it is no `Prior`.  It is loaded by
diffusers' own pipeline, makes one mesh, and is freed before anything else is loaded.

Its meshes have Z up, as ours.  Which way they face is not fixed (openai/shap-e#87: one picture, four seeds, four
directions); we leave them as they are, so that our front is the view with which diffusers' own pictures of them begin.
Its colours at the vertices are linear, and are turned into visible ones.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
import trimesh
from diffusers import PriorTransformer, ShapEPipeline
from diffusers.pipelines.shap_e import ShapERenderer
from torch import Tensor

from backend.errors import reason
from backend.hub.layout import START_SHAPES
from backend.priors.base import PriorError
from backend.priors.loading import load_frozen, variant, weight_files, weights_dtype
from backend.priors.model_folder import check_model, find_model

STEPS, GUIDANCE_SCALE = 64, 15.0  # of the model's own examples
NETWORKS = ((PriorTransformer, "prior"), (ShapERenderer, "shap_e_renderer"))


class NoSurfaceError(Exception):
    """The shape that the model made has no surface."""


def check_shap_e(model: str | Path) -> None:
    """PriorError where a Shap-E model, a folder or hub id, cannot be used, as far as that shows without loading it."""
    check_model(model, START_SHAPES)


def shap_e_mesh(model: str | Path, prompt: str, seed: int, device: torch.device) -> Any | None:
    """The mesh that the model makes of a prompt, Z up, its vertices coloured in sRGB; None where it has no surface.

    The model is loaded for this and freed again.

    Raises:
        PriorError: no such model, one of another kind, or one whose files are missing or damaged.
    """
    pipeline = _load(model, device)
    pipeline.shap_e_renderer.mesh_decoder.register_forward_hook(_refuse_nothing)
    try:
        generator = torch.Generator(device).manual_seed(seed)
        made = pipeline(
            prompt,
            generator=generator,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE_SCALE,
            output_type="mesh",
        ).images[0]
        return _as_mesh(made)
    except NoSurfaceError:
        return None
    finally:
        del pipeline
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _load(model: str | Path, device: torch.device) -> Any:
    folder, _ = find_model(model, START_SHAPES)
    dtype = weights_dtype(device)
    weight_files(folder / "text_encoder")  # its error names a damaged file, unlike transformers'
    prior, renderer = (load_frozen(network, folder / name, dtype, device) for network, name in NETWORKS)
    options = {"variant": variant(folder / "prior"), "use_safetensors": True, "local_files_only": True}
    try:
        # The renderer is put in afterwards: from_pretrained does not know its class and would print the whole of it.
        pipeline = ShapEPipeline.from_pretrained(folder, prior=prior, shap_e_renderer=None, dtype=dtype, **options)
    except (OSError, ValueError, ImportError) as error:
        raise PriorError(f"{folder} cannot be loaded ({reason(error)}): download it again") from error
    pipeline.register_modules(shap_e_renderer=renderer)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _refuse_nothing(_decoder: Any, _inputs: Any, made: Any) -> None:
    """What diffusers does next, colours for the vertices, fails without any."""
    if len(made.faces) == 0 or not bool(torch.isfinite(made.verts).all()):
        raise NoSurfaceError


def _as_mesh(made: Any) -> Any:
    """diffusers' output as a trimesh."""
    vertices, faces = made.verts.detach().float().cpu().numpy(), made.faces.cpu().numpy()
    linear = torch.stack([made.vertex_channels[name] for name in "RGB"], 1).detach().float().cpu()
    colours = (_visible(linear).clamp(0, 1) * 255).round().byte().numpy()
    return trimesh.Trimesh(vertices, faces, vertex_colors=colours, process=False)


def _visible(linear: Tensor) -> Tensor:
    """Linear colours as sRGB."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)
