"""Settings of priors in jobs: how a run uses its kit of objects, and the LoRAs that change an image model."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CatalogueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a kit is used; priors that are not kits ignore it."""

    mix: Annotated[float, Meta(ge=0, le=1, description="0: objects of the kit, 1: new ones from their parts")] = 0.5
    objects: Annotated[int, Meta(ge=0, description="Matching objects that a seed draws, 0: all")] = 6
    joint: Annotated[
        bool, Meta(description="One posterior for all views of a step, while windows are whole pictures")
    ] = True


class LoRAFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A LoRA that is added to an image model; kits ignore it."""

    file: str  # .safetensors
    weight: Annotated[float, Meta(ge=-10, le=10)] = 1.0  # 1: as it was trained
