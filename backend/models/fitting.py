"""Whether a model fits this computer's graphics card."""

from __future__ import annotations

from functools import cache

import torch

from backend.priors.card_memory import Family, most_views, peak_bytes
from shared.models import Card, Fit

GIB = 2**30


@cache
def this_card() -> Card | None:
    """The first graphics card that torch can use."""
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return Card(found.name, found.total_memory)


def fit(family: Family | None, card: Card | None) -> Fit:
    """Whether a model of this family fits the card."""
    if card is None:
        return Fit(None, "no graphics card")
    if family is None:
        return Fit(None, "not known")
    views = most_views(family, card.memory)
    if views:
        return Fit(True, "1 view a step" if views == 1 else f"{views} views a step")
    return Fit(False, f"needs {peak_bytes(family, 1) / GIB:.1f} GiB, the card has {card.memory / GIB:.1f} GiB")
