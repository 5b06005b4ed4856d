"""What a single file of weights is: the family of a checkpoint or a LoRA, by its header alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.priors.base import PriorError
from backend.priors.checkpoint_header import Header, read_header
from backend.priors.checkpoint_kind import tell_kind
from backend.priors.lora_kind import is_lora, made_for

# The names in lists of what the priors tell apart.
TITLES = {"Stable Diffusion 1.x": "SD 1.5", "Stable Diffusion 2.x": "SD 2.1", "Stable Diffusion XL": "SDXL"}


@dataclass(frozen=True)
class SingleFile:
    """A file of weights; `problem` is a sentence where it cannot be used."""

    family: str = ""
    lora: bool = False
    licence: str = ""
    whole: bool = True
    problem: str = ""


def describe(file: Path) -> SingleFile:
    """What a file is, from its header: no weights are read."""
    try:
        header = read_header(file, "prior")
    except PriorError as error:
        return SingleFile(whole="damaged" not in str(error), problem=f"{error}.")
    licence = header.metadata.get("modelspec.license", "")
    if is_lora(header):
        title = made_for(header)
        return SingleFile(TITLES.get(title, title), lora=True, licence=licence)
    try:
        return SingleFile(_family(header), licence=licence)
    except PriorError as error:
        return SingleFile(licence=licence, problem=f"{error}.")


def _family(header: Header) -> str:
    """The family of a checkpoint; PriorError where it is of another kind."""
    kind = tell_kind(header)
    if kind.family != "sd2":
        return TITLES[kind.title]
    return "SD 2.1 v" if kind.prediction_type == "v_prediction" else "SD 2.1-base"
