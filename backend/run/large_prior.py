"""The large model that is in memory: one at a time, loaded where it fits and given up before the next."""

from __future__ import annotations

import gc

import torch

from backend.priors.base import Prior
from backend.run.memory import stay_on_the_card

_loaded: dict[tuple[str, torch.device], Prior] = {}  # one at most


def load_large_prior(name: str, device: torch.device) -> Prior:
    """The model of a diffusers folder or hub id; the last one stays in memory.

    Raises:
        PriorError: it cannot be loaded, or the card has no room for it.
    """
    from backend.priors.stable_diffusion import load_stable_diffusion

    key = (name, device)
    if key not in _loaded:
        unload_large_prior()
        stay_on_the_card(device)
        _loaded[key] = load_stable_diffusion(name, device)
    return _loaded[key]


def unload_large_prior() -> bool:
    """Give back the memory of the model that is loaded, and torch's reserve on the card; whether there was a model."""
    loaded = bool(_loaded)
    _loaded.clear()
    gc.collect()  # diffusers' pipelines refer to themselves
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    return loaded
