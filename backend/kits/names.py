"""A readable name for an object, from that of its file or node: "SM_Oak_Chair.001" becomes "Oak chair"."""

from __future__ import annotations

import re

MEANINGLESS = re.compile(r"(mesh|object|node|geometry|group|root|scene|default|model|untitled|world)?", re.IGNORECASE)
PREFIX = re.compile(r"^(sm|sk|mesh|geo|obj)(?=[ _-])", re.IGNORECASE)
NUMBER = re.compile(r"[ _.-]*(lod)?\d+$", re.IGNORECASE)
ABBREVIATION = 3  # capitals: TV, PC, USB


def clean_name(raw: str, otherwise: str = "Object") -> str:
    """The words of a name; `otherwise` if none of them means anything."""
    text = raw
    while (shorter := NUMBER.sub("", text)) != text:
        text = shorter
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", PREFIX.sub("", text))
    words = [_lower(word) for word in re.split(r"[\W_]+", text) if word]
    if not words or MEANINGLESS.fullmatch(" ".join(words)):
        return otherwise
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _lower(word: str) -> str:
    return word if word.isupper() and 1 < len(word) <= ABBREVIATION else word.lower()
