"""Packs the objects' own files into the few that training reads.

    python -m prior_data.pack --objects work/data/procedural --tag procedural-1 --out work/packed

writes `objects-TAG.json`, one entry an object with `first` and `views`, and `views-TAG-NN.npz` with the arrays `rgba`
(V,64,64,4) uint8 and `camera` (V,3) float32: the layout of `backend/training/views.py`.  To add what was rendered
since, pack again under another tag with `--have` naming the first pack: tags are never rewritten, so that the objects
which training holds out stay held out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

from prior_data.record import load, sources_packed

LARGEST = 7_500_000  # bytes of an archive; small enough for any git host


def pack(objects: Path, tag: str, out: Path, have: set[str]) -> Counter[str]:
    """Pack the objects below `objects` that are not in `have`; returns how many of each name went in.

    Raises ValueError where the tag is taken or malformed, or nothing is there to pack.
    """
    listing = out / f"objects-{tag}.json"
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", tag) or listing.exists():
        raise ValueError(f"--tag {tag} is taken or not of the form procedural-1: choose another")
    files = [file for file in sorted(objects.rglob("*.npz")) if load(file)[0].source not in have]
    if not files:
        raise ValueError(f"--objects {objects} holds no object that is not packed already: render some first")
    out.mkdir(parents=True, exist_ok=True)
    entries, first = [], 0
    for number, group in enumerate(_groups(files)):
        loaded = [load(file) for file in group]
        for record, rgba, _ in loaded:
            entries.append({"first": first, "views": len(rgba)} | asdict(record))
            first += len(rgba)
        pictures, cameras = (np.concatenate([done[part] for done in loaded]) for part in (1, 2))
        np.savez_compressed(out / f"views-{tag}-{number:02d}.npz", rgba=pictures, camera=cameras)
    # Written last: a pack that was interrupted has no listing and is written anew.
    listing.write_text(json.dumps(entries, indent=1, ensure_ascii=False), encoding="utf-8")
    return Counter(entry["name"] for entry in entries)


def _groups(files: list[Path]) -> list[list[Path]]:
    """Consecutive files whose sizes add up to at most `LARGEST`; packed together they are hardly smaller."""
    groups: list[list[Path]] = [[]]
    total = 0
    for file in files:
        size = file.stat().st_size
        if groups[-1] and total + size > LARGEST:
            groups.append([])
            total = 0
        groups[-1].append(file)
        total += size
    return groups


def main() -> None:
    """Read the command line, pack, say what went in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=Path, required=True, help="folder that a renderer wrote")
    parser.add_argument("--tag", required=True, help="name of this pack")
    parser.add_argument("--out", type=Path, required=True, help="folder that training reads")
    parser.add_argument("--have", type=Path, action="append", default=[], help="packed data to leave out, repeatable")
    args = parser.parse_args()
    names = pack(args.objects, args.tag, args.out, sources_packed(args.have))
    print(f"{names.total()} objects:", ", ".join(f"{count} {name}" for name, count in names.most_common()))


if __name__ == "__main__":
    main()
