"""What to call jobs of one objective that were set differently: by the settings that tell them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from backend.guidance.rules import RULES
from backend.job.job import Job

NO_SETTING = ("prompt", "seed", "device", "said")


def labels(jobs: Sequence[Job]) -> list[str]:
    """For each job "vdm", or, where others of its objective have other settings, "vdm cut_off=100"."""
    settings = [dict(_flat("", _said(job))) for job in jobs]
    values = defaultdict[tuple[str, str], set[str]](set)
    for job, said in zip(jobs, settings, strict=True):
        for key, value in said.items():
            values[job.objective, key].add(value)
    return [
        " ".join([job.objective, *(f"{key}={said[key]}" for key in said if len(values[job.objective, key]) > 1)])
        for job, said in zip(jobs, settings, strict=True)
    ]


def _said(job: Job) -> dict[str, Any]:
    """The job's settings, with the objective's defaults where its recipe leaves options out."""
    fields = {key: value for key, value in msgspec.to_builtins(job).items() if key not in NO_SETTING}
    options = msgspec.convert(job.recipe.options, RULES[job.objective].Options)
    recipe = {key: value for key, value in fields["recipe"].items() if key != "checkpoint_every"}
    return {**fields, "recipe": {**recipe, "options": msgspec.to_builtins(options)}}


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every setting by its own name, those of inner structs too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(key, inner)
    else:
        yield name, str(value)
