"""A model in diffusers' format: its parts, the files of each, and those of them that distillation needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backend.errors import UserError, reason

INDEX, CARD = "model_index.json", "README.md"  # the card has the licence
PIPELINES = "StableDiffusionPipeline, StableDiffusionXLPipeline, IFPipeline"

# The supported pipelines, and their components that are not needed for distillation.
UNUSED_PARTS: dict[str, dict[str, Any]] = {
    "StableDiffusionPipeline": {
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    },
    "StableDiffusionXLPipeline": {"feature_extractor": None, "image_encoder": None, "add_watermarker": False},
    "IFPipeline": {
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    },
}

NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")
# Weights as diffusers and transformers name them, whole or in shards, and the list of the shards.
WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(?P<half>\.fp16)?(?P<shard>-\d{5}-of-\d{5})?\.safetensors")
SHARDS = re.compile(r"(diffusion_pytorch_model|model)\.safetensors\.index(?P<half>\.fp16)?\.json")
SETTINGS = (".json", ".txt", ".model")  # suffixes of configurations and of the tokenizers' files


class ModelError(UserError):
    """A model that cannot be used or fetched: one sentence that begins with its name and says what to do."""


def pipeline_of(model: str | Path, index: Path) -> tuple[str, tuple[str, ...]]:
    """The class of a model's pipeline, and its parts that are needed, from its model_index.json.

    Raises:
        ModelError: the file cannot be read, or the pipeline is of another kind.
    """
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        name = content["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'"{model}" has a {index} that cannot be read ({reason(error)}): download it again') from error
    if not isinstance(name, str) or name not in UNUSED_PARTS:
        raise ModelError(f'"{model}" is a {name}: use a model of one of the kinds {PIPELINES}')
    parts = [part for part, kind in content.items() if isinstance(kind, list) and kind[0] is not None]
    return name, tuple(part for part in parts if part not in UNUSED_PARTS[name])


def wanted_files(parts: Iterable[str], names: Iterable[str]) -> list[str]:
    """Of the files of a model on the hub, those that the parts need.

    Weights are in half precision where the U-Net has them so: the other parts follow it, as far as they can, because
    diffusers loads them by the U-Net's variant.  Weights that are not safetensors are never among them.
    """
    inside: dict[str, list[str]] = {}
    for name in names:
        part, _, file = name.rpartition("/")
        inside.setdefault(part, []).append(file)
    half = any(_is_half(file) for file in inside.get("unet", ()))
    wanted = [name for name in (INDEX, CARD) if name in inside.get("", ())]
    for part in parts:
        wanted += [f"{part}/{file}" for file in _wanted_in_part(inside.get(part, []), half)]
    return wanted


def _wanted_in_part(files: list[str], half: bool) -> list[str]:
    settings = [file for file in files if file.endswith(SETTINGS) and ".index." not in file]
    weights = [file for file in files if WEIGHTS.fullmatch(file) or SHARDS.fullmatch(file)]
    halves = [file for file in weights if _is_half(file)]
    return sorted(settings + (halves if half and halves else [file for file in weights if file not in halves]))


def _is_half(file: str) -> bool:
    match = WEIGHTS.fullmatch(file) or SHARDS.fullmatch(file)
    return match is not None and match["half"] is not None


def without_weights(parts: Iterable[str], names: Iterable[str]) -> list[str]:
    """The networks among the parts that have no weights among these files."""
    files = [name.rpartition("/") for name in names]
    found = {part for part, _, file in files if WEIGHTS.fullmatch(file)}
    return [part for part in parts if part in NETWORKS and part not in found]


def missing_files(folder: Path, parts: Iterable[str]) -> list[str]:
    """What a folder lacks of these parts, as paths in it; nothing if the model is whole."""
    return [lack for part in parts for lack in _missing_in_part(folder / part, part)]


def _missing_in_part(folder: Path, part: str) -> list[str]:
    names = {file.name for file in folder.iterdir() if file.is_file()} if folder.is_dir() else set()
    if part not in NETWORKS:
        return [] if names else [part]
    lacks = [] if "config.json" in names else [f"{part}/config.json"]
    matches = [match for name in names if (match := WEIGHTS.fullmatch(name))]
    if any(match["shard"] is None for match in matches):
        return lacks
    shards = _shards(folder, names)
    if shards is None:
        return [*lacks, f"{part}/*.safetensors"]
    return lacks + [f"{part}/{name}" for name in sorted(shards - names)]


def _shards(folder: Path, names: set[str]) -> set[str] | None:
    """The names of the files that the weights of a network are split into; None where nothing lists them."""
    for name in sorted(names, key=_is_half):
        if SHARDS.fullmatch(name):
            try:
                return set(json.loads((folder / name).read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return None
    return None
