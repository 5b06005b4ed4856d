"""What a cell of a table of objectives, prompts and seeds is called on the disk."""

from __future__ import annotations

from backend.files import digested, slug
from backend.guidance.rules import RULES


def cell(name: str, prompt: str, seed: int) -> str:
    """The name of what an objective, or a variant of one, makes of a prompt and a seed; no two such three share one.

    Of all names only objectives' own have hyphens, and what begins like one of these is digested: "asd" of "async cups"
    is not "asd-async" of "cups".
    """
    own = name if name in RULES else slug(name, "_")
    whole = f"{own}-{slug(prompt)}-"
    taken = any(whole.startswith(f"{other}-") for other in RULES if other != own and other.startswith(own))
    return f"{own}-{digested(prompt) if taken else slug(prompt)}-{seed}"
