"""Renders one object of an infinigen generator."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import gin  # type: ignore[import-not-found]
import infinigen  # type: ignore[import-not-found]
from infinigen.core import init  # type: ignore[import-not-found]
from infinigen.core.util.math import FixedSeed  # type: ignore[import-not-found]

from prior_data import studio
from prior_data.workers import Job, Views

FRONT = 90.0  # degrees: infinigen's objects face +X
CONFIGS = ["infinigen_examples/configs_indoor", "infinigen_examples/configs_nature"]


def make_renderer() -> Callable[[Job], Views]:
    """Configure infinigen and return the function that renders a job."""
    logging.disable(logging.WARNING)
    gin.add_config_file_search_path(Path(infinigen.__file__).parent.parent)
    init.apply_gin_configs(CONFIGS, skip_unknown=True)
    return _render


def _render(job: Job) -> Views:
    module, generator, seed = job.what
    studio.clear()
    with gin.unlock_config():
        make = getattr(importlib.import_module(f"infinigen.assets.objects.{module}"), generator)
    with FixedSeed(int(seed)):
        factory = make(int(seed))
        factory.finalize_assets(factory.spawn_asset(int(seed)))
    return studio.photograph(FRONT)
