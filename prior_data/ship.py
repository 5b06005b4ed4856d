"""Joins photographed objects into the shipped kit, without doubles and with corrected names.

    python -m prior_data.ship --from work/sweethome --from work/infinigen --out backend/priors/objects

The same pictures give the same kit.  If a source is in two folders, the first one counts.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from backend.files import replacing
from backend.kits.colour import main_colour
from backend.kits.make import RESERVED
from backend.priors.kit import KitObject, new_index, read_atlas, write_atlas, write_index
from prior_data.attribution import attribution
from prior_data.doubles import DoubleFinder
from prior_data.naming import plain_name
from prior_data.shots import Shot, taken

MOST_BYTES = 48 * 10**6


def ship(shots: list[Shot], out: Path) -> list[KitObject]:
    """Write the kit and its ATTRIBUTION.md; prints what is skipped.  ValueError where it gets too large."""
    out.mkdir(parents=True, exist_ok=True)
    doubles, things = DoubleFinder(), list[KitObject]()
    for shot in shots:
        name = plain_name(shot.source, shot.name)
        if name is None:
            continue
        views = shot.views()
        double = doubles.double_of(views)
        if double is not None:
            print(f"{shot.source} ({name}) is skipped, it looks like {things[double].source} ({things[double].name})")
            continue
        things.append(_shipped(shot, name, out / f"{len(things):04d}.webp"))
    for file in out.glob("*.webp"):
        if not file.stem.isdigit() or int(file.stem) >= len(things):
            file.unlink()
    write_index(new_index(RESERVED, things), out)
    (out / "ATTRIBUTION.md").write_text(attribution(things), encoding="utf-8")
    size = sum((out / thing.file).stat().st_size for thing in things)
    print(f"{len(things)} objects, {size / 1e6:.1f} MB")
    if size > MOST_BYTES:
        raise ValueError(f"{out} has {size / 1e6:.1f} MB of pictures; the limit is {MOST_BYTES / 1e6:.0f}")
    return things


def _shipped(shot: Shot, name: str, file: Path) -> KitObject:
    with replacing(file) as half:
        if shot.atlas is None:
            write_atlas(shot.views(), half)
        else:
            shutil.copyfile(shot.atlas, half)
    colour, share = main_colour(read_atlas(file))
    title = shot.name if shot.creator else ""
    credits = {"licence": shot.licence, "creator": shot.creator, "title": title}
    return KitObject(file=file.name, name=name, source=shot.source, colour=colour, share=share, **credits)


def main() -> None:
    """Read the command line and write the kit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folders", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--out", type=Path, required=True, help="the kit's folder")
    args = parser.parse_args()
    ship(taken(args.folders), args.out)


if __name__ == "__main__":
    main()
