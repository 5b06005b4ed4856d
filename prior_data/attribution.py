"""Writes the attribution that goes with weights trained on this data, from its `objects*.json`.

    python -m prior_data.attribution --data ../shared/prior-data --out backend/priors/weights/ATTRIBUTION.md

CC-BY 3.0 (section 4b) asks for the creator's name, the title of the work, the licence's address, the copyright notice
that came with it and word of what was changed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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

The weights in this folder were trained on pictures of the works below. The works were rendered from many sides at
64×64 pixels, the pictures mirrored and recoloured, and a network was trained on them. Neither the works nor the
pictures are in this folder, and their authors have not endorsed it. All models come from Debian's package
`sweethome3d-furniture` 1.8, collected and converted for Sweet Home 3D by Emmanuel Puybaret / eTeks.

This file is written by `python -m prior_data.attribution`; do not edit it.
"""


def read(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """The entries of all `objects*.json` in the folders, each source once; ValueError where there is none."""
    entries: dict[str, dict[str, Any]] = {}
    for folder in folders:
        listings = sorted(folder.glob("objects*.json"))
        if not listings:
            raise ValueError(f"--data {folder} holds no objects*.json: name a folder of packed data")
        for listing in listings:
            entries |= {entry["source"]: entry for entry in json.loads(listing.read_text(encoding="utf-8"))}
    return list(entries.values())


def attribution(entries: Iterable[dict[str, Any]]) -> str:
    """The Markdown text; ValueError for an unknown licence, or a CC-BY work without its creator."""
    by_licence: dict[str, list[dict[str, Any]]] = {licence: [] for licence in LICENCES}
    for entry in entries:
        if entry["licence"] not in LICENCES:
            raise ValueError(f"{entry['source']} has the unknown licence {entry['licence']}: add it to LICENCES")
        if entry["licence"].startswith("CC-BY") and not entry["creator"]:
            raise ValueError(f"{entry['source']} is {entry['licence']} but names no creator: leave it out")
        by_licence[entry["licence"]].append(entry)
    return HEAD + "".join(_section(licence, found) for licence, found in by_licence.items() if found)


def _section(licence: str, entries: list[dict[str, Any]]) -> str:
    name, address = LICENCES[licence]
    title = f"\n## {name[0].upper()}{name[1:]}: {len(entries)} objects\n\n"
    if licence.startswith("CC-BY"):
        return f"{title}Licence: <{address}>\n\n{_works(entries)}"
    if licence.startswith("CC0"):
        creators = sorted({entry["creator"] for entry in entries if entry["creator"]}, key=str.casefold)
        return f"{title}<{address}> asks for no attribution; with thanks to {', '.join(creators)}.\n"
    return (
        f"{title}Made with infinigen 1.15.5, Copyright 2023 Princeton University: Raistrick et al., Infinite"
        " Photorealistic Worlds\nUsing Procedural Generation, CVPR 2023, and Infinigen Indoors, CVPR 2024.\n"
    )


def _works(entries: list[dict[str, Any]]) -> str:
    """A line for each creator in each catalogue: name, notice, titles."""
    works: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in entries:
        catalogue = entry["source"].split("/")[1]
        works[catalogue, entry["creator"]].add(entry["name"])
    lines = []
    for (catalogue, creator), titles in sorted(works.items(), key=lambda work: [word.casefold() for word in work[0]]):
        lines.append(f"- **{creator}** ({NOTICES[catalogue]}): {', '.join(sorted(titles))}\n")
    return "".join(lines)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="packed data, repeatable")
    parser.add_argument("--out", type=Path, required=True, help="the Markdown file to write")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(attribution(read(args.data)), encoding="utf-8")


if __name__ == "__main__":
    main()
