"""What LMC-SDS needs on points: the same small network, trained on the toy's own data and one of its priors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from backend.files import replacing
from backend.guidance import corrective
from backend.guidance.corrective import Corrective
from backend.priors.base import Prior
from backend.studies.toy.modes import draw
from backend.studies.train_lmc import Sample, fit

BATCH, STEPS, SEED = 128, 1500, 0


def train_corrective(prior: Prior, name: str, out: Path) -> str:
    """Train one for a prior and write it below `out`; its file."""
    network, file = Corrective.create(2, SEED), out / f"corrective-{name}.safetensors"
    for _ in fit(network, points(prior), STEPS, SEED):
        pass
    with replacing(file) as new:
        corrective.save(network, new, f"toy, {name}")
    return str(file)


def points(prior: Prior) -> Iterator[Sample]:
    """Points (BATCH,2,1,1) of the mixture, each with its mode as its text."""
    generator = torch.Generator().manual_seed(SEED)
    while True:
        x, mode = draw(BATCH, generator)
        yield Sample(prior, x[:, :, None, None], prior.condition([str(int(m)) for m in mode]))
