"""How a run uses its kit of objects: the settings of the catalogue prior, as a part of the recipe."""

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
