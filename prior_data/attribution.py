"""Writes the attribution of the shipped kit.

CC-BY 3.0 (section 4b) asks for the creator's name, the title of the work, the licence's address, the copyright notice
that came with it and a note on what was changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from backend.priors.kit import KitObject

# Name and address of each licence; only CC-BY asks for attribution.
LICENCES = {
    "CC-BY-3.0": ("Creative Commons Attribution 3.0 Unported", "https://creativecommons.org/licenses/by/3.0/"),
    "CC-BY-3.0-US": (
        "Creative Commons Attribution 3.0 United States",
        "https://creativecommons.org/licenses/by/3.0/us/",
    ),
    "CC0-1.0": ("CC0 1.0, public domain", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "BSD-3-Clause tool, own render": ("own renders of objects made with infinigen (BSD-3-Clause)", ""),
}
# The notices in the package's copyright file and catalogues.
NOTICES = {
    "KatorLegaz": "Copyright 2003-2008 Andrew Kator & Jennifer Legaz",
    "Reallusion": "Copyright 2008-2016 Reallusion",
    "Scopia": "Copyright 2008-2020 Emmanuel Puybaret / eTeks and Scopia Visual Interfaces Systems, s.l.",
    "BlendSwap-CC-BY": "published on Blend Swap",
}
HEAD = """# Attribution

This folder holds pictures of the works below, 48 of each at 128x128 pixels, which were taken by Splatsmith: the models
were turned upright, lit by one light without their gloss and transparency, and photographed from all sides; names in
`kit.json` are ours, titles are the creators'. The models themselves are not here, and their authors have not endorsed
any of this. What Splatsmith makes is made of these pictures; its results say of whose. All models come from Debian's
package `sweethome3d-furniture` 1.8, collected and converted for Sweet Home 3D by Emmanuel Puybaret / eTeks.

This file is written by `python -m prior_data.ship`; do not edit it.
"""


def attribution(things: Iterable[KitObject]) -> str:
    """The Markdown text; ValueError for an unknown licence, or a CC-BY work without a creator."""
    by_licence: dict[str, list[KitObject]] = {licence: [] for licence in LICENCES}
    for thing in things:
        if thing.licence not in LICENCES:
            raise ValueError(f"{thing.source} has the unknown licence {thing.licence}: add it to LICENCES")
        if thing.licence.startswith("CC-BY") and not thing.creator:
            raise ValueError(f"{thing.source} is {thing.licence} but names no creator: leave it out")
        by_licence[thing.licence].append(thing)
    return HEAD + "".join(_section(licence, found) for licence, found in by_licence.items() if found)


def _section(licence: str, things: list[KitObject]) -> str:
    name, address = LICENCES[licence]
    title = f"\n## {name[0].upper()}{name[1:]}: {len(things)} objects\n\n"
    if licence.startswith("CC-BY"):
        return f"{title}Licence: <{address}>\n\n{_works(things)}"
    if licence.startswith("CC0"):
        creators = sorted({thing.creator for thing in things if thing.creator}, key=str.casefold)
        return f"{title}<{address}> asks for no attribution; with thanks to {', '.join(creators)}.\n"
    return (
        f"{title}Made with infinigen 1.15.5, Copyright 2023 Princeton University: Raistrick et al., Infinite"
        " Photorealistic Worlds\nUsing Procedural Generation, CVPR 2023, and Infinigen Indoors, CVPR 2024.\n"
    )


def _works(things: list[KitObject]) -> str:
    """A line for each creator in each catalogue: name, notice, titles."""
    works: dict[tuple[str, str], set[str]] = defaultdict(set)
    for thing in things:
        works[thing.source.split("/")[1], thing.creator].add(thing.title or thing.name)
    lines = []
    for (catalogue, creator), titles in sorted(works.items(), key=lambda work: [word.casefold() for word in work[0]]):
        lines.append(f"- **{creator}** ({NOTICES[catalogue]}): {', '.join(sorted(titles))}\n")
    return "".join(lines)
