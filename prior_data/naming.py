"""Corrects the names of catalogues and generators to those that people would use in prompts.

`names.json` was written by a person from the pictures: {source: name} without the package's name, for infinigen
{"infinigen/GENERATOR": name}; null for objects that are not used.  A name ends in the thing itself, as the last word
decides what is drawn; style and material come before it, never the colour, which is measured.
"""

from __future__ import annotations

import json
from pathlib import Path

from prior_data.catalogue import PACKAGE

NAMES: dict[str, str | None] = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))


def plain_name(source: str, title: str) -> str | None:
    """The name of an object whose creator calls it `title`; None if it is not used."""
    package, rest = source.split("/", 1)
    key = rest if package == PACKAGE else source.rsplit("/", 1)[0]
    name = NAMES.get(key, title)
    return name and name[0].upper() + name[1:]
