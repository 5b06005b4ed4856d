"""Names on disk for the combinations of objective, prompt and seed."""

from __future__ import annotations

from backend.files import digested, slug
from backend.guidance.rules import RULES


def cell(name: str, prompt: str, seed: int) -> str:
    """A unique name for an objective, or a variant of one, with a prompt and a seed.

    Only objectives' own names have hyphens, and what could be mistaken for one of these gets a digest: "asd" with
    "async cups" differs from "asd-async" with "cups".
    """
    own = name if name in RULES else slug(name, "_")
    start = f"{own}-{slug(prompt)}-"
    ambiguous = any(start.startswith(f"{other}-") for other in RULES if other != own and other.startswith(own))
    return f"{own}-{digested(prompt) if ambiguous else slug(prompt)}-{seed}"
