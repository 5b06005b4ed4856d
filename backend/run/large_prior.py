"""The large model that is in memory: one at a time, loaded where it fits and given up before the next.

Where it is on the hub alone, it is downloaded first.
"""

from __future__ import annotations

import gc
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from backend.hub.layout import START_SHAPES
from backend.hub.suggested import SUGGESTED
from backend.job.job import Job
from backend.models.families import CARD_FAMILIES
from backend.priors.card_memory import check_room
from backend.priors.kit import kit_folder
from backend.priors.settings import LoRAFile
from backend.run.devices import choose_device
from backend.run.memory import stay_on_the_card
from shared.models import DownloadProgress

if TYPE_CHECKING:
    from backend.priors.stable_diffusion import StableDiffusion

_loaded: dict[Hashable, StableDiffusion] = {}  # one at most


def fetch_prior(job: Job) -> Iterator[DownloadProgress]:
    """Download the job's models that are on the hub and not here; the progress, until they are here or it is closed.

    Raises:
        UserError: the model cannot be had, the card is too small for it, or the job's device does not exist.
    """
    from backend.priors.model_folder import fetch_model

    device = choose_device(job.device)  # refused before anything is downloaded
    if kit_folder(job.prior) is None:
        _refuse_what_cannot_fit(job.prior, device)
        yield from fetch_model(job.prior)
    if job.start == "shap-e":
        yield from fetch_model(job.start_prior, START_SHAPES)


def _refuse_what_cannot_fit(name: str, device: torch.device) -> None:
    """PriorError where a model that we know is too large for the whole card."""
    family = next((CARD_FAMILIES[one.family] for one in SUGGESTED if one.name == name), None)
    if family is not None and device.type == "cuda":
        check_room(name, family, torch.cuda.get_device_properties(device).total_memory, empty=True)


def load_large_prior(name: str, device: torch.device, loras: tuple[LoRAFile, ...] = ()) -> StableDiffusion:
    """A model with its LoRAs; the last one stays in memory, until its file or one of theirs changes.

    Raises:
        PriorError: it cannot be loaded, or the card has no room for it.
    """
    from backend.priors.stable_diffusion import load_stable_diffusion

    key = (name, device, loras, *map(_modified, (name, *(lora.file for lora in loras))))
    if key not in _loaded:
        unload_large_prior()
        stay_on_the_card(device)
        _loaded[key] = load_stable_diffusion(name, device, loras)
    return _loaded[key]


def unload_large_prior() -> bool:
    """Give back the memory of the model that is loaded, and torch's reserve on the card; whether there was a model."""
    loaded = bool(_loaded)
    _loaded.clear()
    gc.collect()  # diffusers' pipelines refer to themselves
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    return loaded


def _modified(file: str) -> int:
    """When a file was written, in ns; 0 for a folder or a hub id."""
    path = Path(file).expanduser()
    return path.stat().st_mtime_ns if path.is_file() else 0
