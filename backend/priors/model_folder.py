"""The folder of a model in diffusers' format: one that is named, one in the hub's cache, or one that is downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from diffusers import DiffusionPipeline
from huggingface_hub import hf_hub_download, model_info
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)

from backend.priors.base import PriorError
from backend.priors.loading import reason, weight_files

INDEX = "model_index.json"

# The supported pipelines, and their components that are not needed for distillation.
Kinds = Mapping[str, dict[str, Any]]
UNUSED_PARTS: Kinds = {
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


def find_model(model: str | Path, kinds: Kinds = UNUSED_PARTS) -> tuple[Path, str]:
    """The folder of a model of one of these kinds, downloaded if need be, and the name of its pipeline class.

    Raises:
        PriorError: no such model, or one of another kind.
    """
    folder = _named_folder(model)
    if folder is not None:
        return folder, _pipeline_class(model, folder / INDEX, kinds)
    name = str(model)
    with _told(name):
        kind = _pipeline_class(name, _fetch_index(name), kinds)
        unwanted = {part: None for part, value in kinds[kind].items() if value is None}
        return Path(DiffusionPipeline.download(name, use_safetensors=True, **unwanted)), kind


def check_model(model: str | Path, kinds: Kinds = UNUSED_PARTS) -> None:
    """Refuse what `find_model` would refuse, and files that are cut off, without loading or downloading a model.

    Raises:
        PriorError: no such model, one of another kind, or one whose files are missing or damaged.
    """
    folder = _named_folder(model)
    if folder is None:
        with _told(str(model)):
            _pipeline_class(model, _fetch_index(str(model)), kinds)
        return
    unused = kinds[_pipeline_class(model, folder / INDEX, kinds)]
    for part in sorted(folder.iterdir()):
        if (part / "config.json").is_file() and part.name not in unused:
            weight_files(part)


def _named_folder(model: str | Path) -> Path | None:
    """The folder that is meant; None where it is a hub id.  PriorError for what is neither."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise PriorError(f'prior "{model}" is not a diffusers folder: pass the folder that has {INDEX}')
        return path
    if isinstance(model, Path) or path.is_absolute() or model.startswith((".", "~")):
        raise PriorError(f'prior "{model}" does not exist: pass the folder of a diffusers model, or its hub id')
    return None


def _pipeline_class(model: str | Path, index: Path, kinds: Kinds) -> str:
    """The name of the pipeline class; PriorError if it is none of these kinds."""
    try:
        name = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PriorError(f'{index} of prior "{model}" cannot be read ({reason(error)}): download it again') from error
    if not isinstance(name, str) or name not in kinds:
        raise PriorError(f'prior "{model}" is a {name}: use a model of one of the kinds {", ".join(kinds)}')
    return name


@contextmanager
def _told(model: str) -> Iterator[None]:
    """Errors of the hub become sentences about a model of this id."""
    try:
        yield
    except HFValidationError as error:
        raise PriorError(f'prior "{model}" is neither a folder nor a hub id: pass a folder or OWNER/NAME') from error
    except RepositoryNotFoundError as error:
        raise PriorError(
            f'prior "{model}" is not on the hub, or needs its licence accepted: check the name, '
            "accept the licence on the model's page and run `hf auth login`"
        ) from error
    except RemoteEntryNotFoundError as error:
        raise PriorError(f'prior "{model}" has no {INDEX}: choose a model that is in diffusers\' format') from error
    except (ImportError, ValueError) as error:  # raised by httpx for a proxy that it does not support
        if "proxy" not in str(error).lower():
            raise
        raise PriorError(
            f'prior "{model}" cannot be fetched through the proxy of this system ({reason(error)}): give ALL_PROXY and '
            "HTTPS_PROXY an http:// address, or none, or pass the folder of a model"
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        raise PriorError(
            f'prior "{model}" is neither a folder here nor complete in the hub\'s cache ({reason(error)}): run '
            f"`hf download {model} --local-dir FOLDER` on a machine with internet, copy that folder here and pass it"
        ) from error


def _fetch_index(model: str) -> Path:
    """Fetch model_index.json, so that unsupported models are refused before gigabytes are downloaded."""
    try:
        return Path(hf_hub_download(model, INDEX, local_files_only=True))
    except LocalEntryNotFoundError:
        model_info(model)  # fails at once without a network, where the download would try for half a minute
        return Path(hf_hub_download(model, INDEX))
