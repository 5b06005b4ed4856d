"""A model in diffusers' format: its parts, the files of each, and those of them that distillation needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import UserError, reason

INDEX, CARD = "model_index.json", "README.md"  # the card has the licence

# The kinds of models that a caller takes: pipelines, and their components that are not needed.
Kinds = Mapping[str, dict[str, Any]]
UNUSED_PARTS: Kinds = {  # for distillation
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

START_SHAPES: Kinds = {"ShapEPipeline": {}}  # no priors: they make what a run starts from

LEADING = ("unet", "prior")  # by whose variant diffusers loads the others; one of them is in every model
NO_WEIGHTS = re.compile(r".*(Tokenizer(Fast)?|Scheduler|Processor|FeatureExtractor)")  # classes of parts without any
# Weights as diffusers and transformers name them, whole or in shards, and the list of the shards.
WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(?P<half>\.fp16)?(?P<shard>-\d{5}-of-\d{5})?\.safetensors")
SHARDS = re.compile(r"(diffusion_pytorch_model|model)\.safetensors\.index(?P<half>\.fp16)?\.json")
SETTINGS = (".json", ".txt", ".model")  # suffixes of configurations and of the tokenizers' files


class ModelError(UserError):
    """A model that cannot be used or fetched: one sentence that begins with its name and says what to do."""


@dataclass(frozen=True)
class Part:
    """A folder in a model's folder; a network has weights, others only settings."""

    name: str
    network: bool


def pipeline_of(model: str | Path, index: Path, kinds: Kinds = UNUSED_PARTS) -> tuple[str, tuple[Part, ...]]:
    """The class of a model's pipeline, and its parts that are needed, from its model_index.json.

    Raises:
        ModelError: the file cannot be read, or the pipeline is of another kind.
    """
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        name = content["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'"{model}" has a {index} that cannot be read ({reason(error)}): download it again') from error
    if not isinstance(name, str) or name not in kinds:
        raise ModelError(f'"{model}" is a {name}: use a model of one of the kinds {", ".join(kinds)}')
    classes = {part: kind[1] for part, kind in content.items() if isinstance(kind, list) and kind[0] is not None}
    needed = {part: kind for part, kind in classes.items() if part not in kinds[name]}
    return name, tuple(Part(part, not NO_WEIGHTS.fullmatch(str(kind))) for part, kind in needed.items())


def wanted_files(parts: Iterable[Part], names: Iterable[str]) -> list[str]:
    """Of the files of a model on the hub, those that the parts need.

    Weights are in half precision where the leading network has them so: the other parts follow it, as far as they can,
    because diffusers loads them by its variant.  Weights that are not safetensors are never among them.
    """
    inside: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        inside.setdefault(folder, []).append(file)
    half = any(_is_half(file) for name in LEADING for file in inside.get(name, ()))
    wanted = [name for name in (INDEX, CARD) if name in inside.get("", ())]
    for part in parts:
        wanted += [f"{part.name}/{file}" for file in _wanted_in_part(inside.get(part.name, []), half)]
    return wanted


def _wanted_in_part(files: list[str], half: bool) -> list[str]:
    settings = [file for file in files if file.endswith(SETTINGS) and ".index." not in file]
    weights = [file for file in files if WEIGHTS.fullmatch(file) or SHARDS.fullmatch(file)]
    halves = [file for file in weights if _is_half(file)]
    return sorted(settings + (halves if half and halves else [file for file in weights if file not in halves]))


def _is_half(file: str) -> bool:
    match = WEIGHTS.fullmatch(file) or SHARDS.fullmatch(file)
    return match is not None and match["half"] is not None


def without_weights(parts: Iterable[Part], names: Iterable[str]) -> list[str]:
    """The networks among the parts that have no weights among these files."""
    files = [name.rpartition("/") for name in names]
    found = {part for part, _, file in files if WEIGHTS.fullmatch(file)}
    return [part.name for part in parts if part.network and part.name not in found]


def missing_files(folder: Path, parts: Iterable[Part]) -> list[str]:
    """What a folder lacks of these parts, as paths in it; nothing if the model is whole."""
    return [lack for part in parts for lack in _missing_in_part(folder / part.name, part)]


def _missing_in_part(folder: Path, part: Part) -> list[str]:
    names = {file.name for file in folder.iterdir() if file.is_file()} if folder.is_dir() else set()
    if not part.network:
        return [] if names else [part.name]
    lacks = [] if "config.json" in names else [f"{part.name}/config.json"]
    matches = [match for name in names if (match := WEIGHTS.fullmatch(name))]
    if any(match["shard"] is None for match in matches):
        return lacks
    shards = _shards(folder, names)
    if shards is None:
        return [*lacks, f"{part.name}/*.safetensors"]
    return lacks + [f"{part.name}/{name}" for name in sorted(shards - names)]


def _shards(folder: Path, names: set[str]) -> set[str] | None:
    """The names of the files that the weights of a network are split into; None where nothing lists them."""
    for name in sorted(names, key=_is_half):
        if SHARDS.fullmatch(name):
            try:
                return set(json.loads((folder / name).read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return None
    return None
