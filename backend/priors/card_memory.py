"""How much of a card's memory a step of Stable Diffusion takes, and how many views fit.

The table was counted on tensors of the real sizes without contents (`tests/priors/memory_peak.py` counts it again):
weights in half precision, views through the VAE one by one and block by block on the way back, two conditions, and no
text encoder on the card.  What the driver, cuDNN and the splats take comes on top, as `BESIDE`.
"""

from __future__ import annotations

from typing import Any, Literal

from backend.priors.base import PriorError

Family = Literal["sd-512", "sd-768", "sdxl", "if"]

GIB = 2**30
BESIDE = 1.2  # GiB: CUDA's context, workspaces of convolutions, 50,000 splats with their optimiser
NAMES: dict[Family, str] = {
    "sd-512": "Stable Diffusion 1.5 or 2.1-base",
    "sd-768": "Stable Diffusion 2.1",
    "if": "DeepFloyd IF stage 1",
    "sdxl": "SDXL",
}
# GiB at the peak of a step, by views a step.
PEAK_GIB: dict[Family, dict[int, float]] = {
    "sd-512": {1: 2.8, 2: 2.9, 4: 3.1, 8: 3.7},
    "sd-768": {1: 4.0, 2: 4.2, 4: 4.7, 8: 6.1},
    "sdxl": {1: 8.8, 2: 9.3, 4: 10.1, 8: 11.9},
    "if": {1: 8.2, 2: 8.4, 4: 8.7, 8: 9.4},
}


def family_of(unet: dict[str, Any]) -> Family:
    """The family of a model, by the configuration of its U-Net."""
    if unet.get("in_channels", 4) == 3:
        return "if"
    if unet.get("addition_embed_type") == "text_time":
        return "sdxl"
    return "sd-768" if int(unet.get("sample_size") or 64) >= 96 else "sd-512"


def check_room(model: str, family: Family, room: float, empty: bool = False) -> None:
    """PriorError where not even one view a step of a model fits into the bytes that a card has free.

    With `empty` these are all that it has, so that nothing is to be gained by closing other programs.
    """
    needed = peak_bytes(family, 1)
    if needed > room:
        smaller = [NAMES[other] for other in NAMES if peak_bytes(other, 1) <= room]
        other = f"take a smaller model ({smaller[-1]} fits)" if smaller else "take the embedded prior"
        has = f"{room / GIB:.1f} GiB" if empty else f"{room / GIB:.1f} GiB free"
        advice = other if empty else f"close other programs that use the card, or {other}"
        raise PriorError(
            f'prior "{model}" needs {needed / GIB:.1f} GiB of the graphics card, which has {has}: {advice}'
        )


def peak_bytes(family: Family, views: int) -> int:
    """What a run with so many views a step needs of a card, in bytes; between the rows of the table the next one."""
    peaks = PEAK_GIB[family]
    row = min((count for count in peaks if count >= views), default=max(peaks))
    more = max(0, views - row) * (peaks[8] - peaks[4]) / 4
    return round((peaks[row] + more + BESIDE) * GIB)


def most_views(family: Family, free_bytes: int) -> int:
    """How many of the views 8, 4, 2, 1 a step fit into so much free memory; 0 where not even one does."""
    return max((count for count in PEAK_GIB[family] if peak_bytes(family, count) <= free_bytes), default=0)
