"""Which family a model is of: what it is called in lists, and what it takes of a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.hub.layout import INDEX
from backend.priors.card_memory import Family, family_of

# The row of the table of a card's memory for each family in lists.
CARD_FAMILIES: dict[str, Family] = {
    "SD 1.5": "sd-512",
    "SD 2.1-base": "sd-512",
    "SD 2.1 v": "sd-768",
    "SDXL": "sdxl",
    "IF": "if",
}
CLASSES = {"StableDiffusionXLPipeline": "SDXL", "IFPipeline": "IF", "ShapEPipeline": "Shap-E"}
TOKENS_OF_SD_1, TOKENS_OF_SD_2 = 768, 1024  # the numbers of a token of the text


def family_of_folder(folder: Path) -> str:
    """The family of a model in diffusers' format, as far as its files are here; "" where they do not say."""
    name = CLASSES.get(str(_read(folder / INDEX).get("_class_name")))
    if name:
        return name
    tokens = _read(folder / "unet" / "config.json").get("cross_attention_dim")
    if tokens == TOKENS_OF_SD_2:
        scheduler = _read(folder / "scheduler" / "scheduler_config.json")
        return "SD 2.1 v" if scheduler.get("prediction_type") == "v_prediction" else "SD 2.1-base"
    return "SD 1.5" if tokens == TOKENS_OF_SD_1 else ""


def card_family_of_folder(folder: Path) -> Family | None:
    """The row of the table of a card's memory for a model in diffusers' format; None before its U-Net is here."""
    unet = _read(folder / "unet" / "config.json")
    return family_of(unet) if unet else None


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # not here yet
    return content if isinstance(content, dict) else {}
