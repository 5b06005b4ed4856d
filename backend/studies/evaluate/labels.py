"""Labels for jobs of one objective with different settings: the settings in which they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from backend.guidance.rules import RULES
from backend.job.job import Job

NOT_SETTINGS = ("prompt", "seed", "device", "said")


def labels(jobs: Sequence[Job]) -> list[str]:
    """For each job "vdm", or, where others of its objective have other settings, "vdm cut_off=100".

    Of jobs of different quality that name alone is told, not the settings that come of it.
    """
    settings = [dict(_flat("", _settings(job))) for job in jobs]
    values = defaultdict[tuple[str, str, str], set[str]](set)
    for job, chosen in zip(jobs, settings, strict=True):
        for key, value in chosen.items():
            values[job.objective, "" if key == "quality" else job.quality, key].add(value)
    differing = {(objective, key) for (objective, _, key), found in values.items() if len(found) > 1}
    return [
        " ".join(
            [job.objective, *(f"{key}={value}" for key, value in chosen.items() if (job.objective, key) in differing)]
        )
        for job, chosen in zip(jobs, settings, strict=True)
    ]


def _settings(job: Job) -> dict[str, Any]:
    """The job's settings, with the objective's defaults for options that are not set."""
    fields = {key: value for key, value in msgspec.to_builtins(job).items() if key not in NOT_SETTINGS}
    options = msgspec.convert(job.recipe.options, RULES[job.objective].Options)
    recipe = {key: value for key, value in fields["recipe"].items() if key != "checkpoint_every"}
    return {**fields, "recipe": {**recipe, "options": msgspec.to_builtins(options)}}


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every setting by its name, including those of inner structs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(key, inner)
    else:
        yield name, str(value)
