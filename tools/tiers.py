"""Which tests run where, and which are quick.  Measured by `--durations` on two cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_WORKERS = 4
BLENDER_TESTS = Path("tests/blender")
# Whole jobs, servers, programs and training.  The rest, closed forms above all, takes a minute and a half on two cores.
SLOW = (
    "tests/addon/test_goodbyes.py",
    "tests/addon/test_heartbeat.py",
    "tests/addon/test_kit_maker.py",
    "tests/bench",
    "tests/evaluate",
    "tests/kits",
    "tests/models/test_jobs_with_hub_models.py",
    "tests/models/test_models_command.py",
    "tests/prior_data",
    "tests/priors/test_shap_e.py",
    "tests/server",
    "tests/test_cli.py",
    "tests/test_drafts.py",
    "tests/test_examples.py",
    "tests/test_fence.py",
    "tests/test_field_jobs.py",
    "tests/test_job_paths.py",
    "tests/test_particle_results.py",
    "tests/test_recipes_reach.py",
    "tests/test_refined_jobs.py",
    "tests/test_resume.py",
    "tests/test_results_in_place.py",
    "tests/test_start_shapes.py",
    "tests/test_trouble.py",
    "tests/tools",
    "tests/toy",
    "tests/view",
)
SLOW_TESTS = ("tests/scenes/test_obj_colours.py::test_a_run_reports_missing_pictures",)
QUICK = (*(f"--ignore={path}" for path in SLOW), *(f"--deselect={test}" for test in SLOW_TESTS))


@dataclass(frozen=True)
class Plan:
    """The options of pytest in each environment; None: it is not started.  `whole`: on every core, and all Blenders."""

    backend: tuple[str, ...] | None
    blender: tuple[str, ...] | None
    whole: bool = False


def plan(options: Sequence[str], quick: bool, root: Path) -> Plan:
    """What `build.py test` runs: all, the quick ones, or the paths that are given, each where it can run.

    A choice by name or marker (-k, -m) is one among the backend's tests unless a path says otherwise.
    """
    ours = [option for option in options if _is_test(option, root)]
    in_blender = [option for option in ours if _below(option, root / BLENDER_TESTS, root)]
    others = [option for option in options if option not in ours]
    elsewhere = [path for path in ours if path not in in_blender]
    if ours:
        chosen = (*elsewhere, *(QUICK if quick else ()), *others) if elsewhere else None
        return Plan(chosen, (*in_blender, *others) if in_blender else None)
    if quick:
        return Plan((*QUICK, *others), None, whole=True)
    if any(option.startswith(("-k", "-m")) for option in options):
        return Plan(tuple(others), None)
    return Plan(tuple(others), (str(BLENDER_TESTS),), whole=True)


def parallel(cores: int | None = None) -> list[str]:
    """pytest's options that spread the files over the cores, in their order; those of one file stay in one process.

    One process more than cores, as tests of servers wait for a third of their time.
    """
    cores = cores or _cores()
    if cores == 1:
        return []
    return [f"--numprocesses={min(cores + 1, MOST_WORKERS)}", "--dist=loadfile", "--no-loadscope-reorder"]


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_test(option: str, root: Path) -> bool:
    """Whether it names a file or folder of tests, or a test in a file."""
    return not option.startswith("-") and _below(option, root / "tests", root)


def _below(option: str, folder: Path, root: Path) -> bool:
    path = (root / option.partition("::")[0]).resolve()
    return path.exists() and path.is_relative_to(folder.resolve())
