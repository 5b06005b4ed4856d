"""A job's fields from a command line: its options over the fields of a job file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from backend.job.job import JobError, read_job
from backend.job.layers import over

OPTIONS = (
    "prompt", "negative_prompt", "objective", "prior", "quality", "seed", "scene", "particles", "start", "start_prior",
    "keep_shape", "device",
)  # fmt: skip
PATHS = ("init_mesh", "start_from")


def job_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The job file's fields, with those of the command line over them."""
    return layered(args)[0]


def layered(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """`job_fields`, and sentences on fields of the file that were not kept or that override an option."""
    given = {name: getattr(args, name) for name in OPTIONS}
    later = {name: value for name, value in given.items() if value is not None}
    later |= {
        name: str(getattr(args, name).expanduser().absolute()) for name in PATHS if getattr(args, name) is not None
    }
    if args.lora is not None:
        later["loras"] = [lora_field(text) for text in args.lora]
    recipe: dict[str, Any] = {} if args.steps is None else {"steps": args.steps}
    if args.mix is not None:
        recipe["catalogue"] = {"mix": args.mix}
    if args.refine_mesh is not None:
        recipe["mesh"] = {"refine_steps": args.refine_mesh}
    if recipe:
        later["recipe"] = recipe
    fields, notes = over(read_job(args.job) if args.job else {}, later)
    if "prompt" not in fields:
        raise JobError("prompt: is missing; describe what to make with --prompt, or in the job file.")
    return fields, notes


def lora_field(text: str) -> dict[str, Any]:
    """FILE or FILE:WEIGHT as a job's field; a drive's letter, as in C:\\style.safetensors, is no file of its own."""
    file, colon, weight = text.rpartition(":")
    whole = not colon or len(file) == 1 or Path(text).expanduser().is_file()
    path = Path(text if whole else file).expanduser().absolute()
    try:
        return {"file": str(path), "weight": 1.0 if whole else float(weight)}
    except ValueError as error:
        raise JobError(f"lora: {weight!r} is not a weight; write FILE:0.8, or FILE alone.") from error


def refuse_beside_continue(args: argparse.Namespace) -> None:
    """JobError where an option was given that --continue cannot use."""
    names = (*OPTIONS, *PATHS, "lora", "mix", "job", "out", "overwrite", "resume")
    # Compared with `is`: a given 0 equals False.
    given = [name for name in names if getattr(args, name) is not None and getattr(args, name) is not False]
    if given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        raise JobError(
            f"continue: cannot be used with {flags}; for other settings start a new run with --job "
            f"{args.continue_from / 'job.json'} and --out."
        )


def checked_steps(steps: int | None) -> int | None:
    """JobError where the number of steps is below 1."""
    if steps is not None and steps < 1:
        raise JobError(f"steps: {steps} is too few; use 1 or more.")
    return steps
