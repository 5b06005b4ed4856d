"""What people ask for an object by: the names of catalogues and generators, put right.

`names.json` was written by somebody who looked at the pictures: {source: name}, without the package's name, and of
infinigen {"infinigen/GENERATOR": name}; null for what nobody asks for.  A name ends in the thing that it is, for the
last word decides what is drawn; before that come style and material, never the colour, which is measured.
"""

from __future__ import annotations

import json
from pathlib import Path

from prior_data.catalogue import PACKAGE

NAMES: dict[str, str | None] = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))


def plain_name(source: str, title: str) -> str | None:
    """The name of an object whose creator calls it `title`; None where it is to be left out."""
    package, rest = source.split("/", 1)
    key = rest if package == PACKAGE else source.rsplit("/", 1)[0]
    name = NAMES.get(key, title)
    return name and name[0].upper() + name[1:]
