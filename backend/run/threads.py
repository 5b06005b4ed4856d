"""How many threads torch computes with: few for the small tensors of a kit's prior, all for large networks.

A step on a kit is some thousand operations on a few hundred kilobytes.  On two cores a second thread made a draft take
16 s instead of 8: waking it takes longer than it saves.  The renderer's kernel is on all cores either way.
"""

from __future__ import annotations

import os

import torch

from backend.priors.base import Prior
from backend.priors.catalogue import CataloguePrior

ALL = torch.get_num_threads()
CORES_PER_THREAD = 4


def threads_for(prior: Prior, cores: int = ALL) -> int:
    """How many of so many."""
    small = isinstance(prior, CataloguePrior) and prior.device.type == "cpu"
    return max(1, cores // CORES_PER_THREAD) if small else cores


def use_threads(prior: Prior) -> None:
    """Have torch use as many as suit a run with this prior, unless the user has chosen by OMP_NUM_THREADS."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads_for(prior))
