"""Contact sheets of finished jobs: turntables, one row per job; and a table of objectives and prompts.

python -m backend.studies.evaluate.sheet out/* --out docs/contact_sheet.png
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from backend.errors import UserError
from backend.run.particle_folders import particle_in, with_particles

ROW, LABEL, COLUMNS, FRONT = 96, 20, 2, 64


class SheetError(UserError):
    """Nothing to show: one sentence."""


def sheet(folders: Sequence[Path]) -> Image.Image:
    """Every job's turntable under its prompt, in `COLUMNS` columns, each particle's; jobs without one are skipped.

    Raises SheetError where none has one.
    """
    rows = [_row(folder, strip) for folder in with_particles(folders) if (strip := _turntable(folder))]
    if not rows:
        raise SheetError("no folder has a readable turntable.png; name folders that `generate` has finished.")
    width, height = max(picture.width for picture in rows), rows[0].height
    lines = -(-len(rows) // COLUMNS)
    page = Image.new("RGB", (width * COLUMNS, height * lines), "white")
    for index, picture in enumerate(rows):
        page.paste(picture, (index // lines * width, index % lines * height))
    return page


def grid(folders: Mapping[tuple[str, str], Sequence[Path]]) -> Image.Image:
    """A row per objective and a column per prompt; each cell has the jobs of these two, from the front."""
    names, prompts = (list(dict.fromkeys(key[i] for key in folders)) for i in (0, 1))
    rows = {name: [_fronts(folders.get((name, prompt), ())) for prompt in prompts] for name in names}
    return table_sheet(rows, prompts, FRONT)


def table_sheet(rows: Mapping[str, Sequence[Image.Image]], columns: Sequence[str], side: int) -> Image.Image:
    """Pictures in a table: a name before each row, a word above each column; pictures are `side` pixels high."""
    pictures = {name: [_high(picture, side) for picture in line] for name, line in rows.items()}
    font = ImageFont.load_default(13)
    names = 12 + math.ceil(max(font.getlength(name) for name in rows))
    widths = [
        6 + max(math.ceil(font.getlength(word)), *(line[i].width for line in pictures.values()))
        for i, word in enumerate(columns)
    ]
    starts = [names + sum(widths[:i]) for i in range(len(columns))]
    page = Image.new("RGB", (names + sum(widths), LABEL + len(rows) * (side + 4)), "white")
    pen = ImageDraw.Draw(page)
    for start, word in zip(starts, columns, strict=True):
        pen.text((start, 3), word, fill="black", font=font)
    for index, (name, line) in enumerate(pictures.items()):
        top = LABEL + index * (side + 4)
        pen.text((4, top + side // 2 - 8), name, fill="black", font=font)
        for start, picture in zip(starts, line, strict=True):
            page.paste(picture, (start, top))
    return page


def _turntable(folder: Path) -> Image.Image | None:
    """A job's turntable; None where it is missing or damaged."""
    try:
        return Image.open(folder / "turntable.png").convert("RGB")
    except (OSError, SyntaxError, ValueError):  # PIL raises SyntaxError for a damaged chunk
        return None


def _row(folder: Path, turntable: Image.Image) -> Image.Image:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    turntable = _high(turntable, ROW)
    picture = Image.new("RGB", (turntable.width + 12, ROW + LABEL), "white")
    picture.paste(turntable, (0, LABEL))
    known = particle_in(folder)
    particle = f", particle {known.particle if known else 1}" if job.get("particles", 1) > 1 else ""
    text = f"{job['prompt']}  ({job['objective']}, seed {job['seed']}{particle})"
    ImageDraw.Draw(picture).text((6, 3), text, fill="black", font=ImageFont.load_default(13))
    return picture


def _fronts(folders: Sequence[Path]) -> Image.Image:
    """The first view of each turntable, side by side; white where there is none."""
    page = Image.new("RGB", (FRONT * max(len(folders), 1), FRONT), "white")
    for index, folder in enumerate(folders):
        if strip := _turntable(folder):
            page.paste(_high(strip, FRONT).crop((0, 0, FRONT, FRONT)), (index * FRONT, 0))
    return page


def _high(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((picture.width * height // picture.height, height), Image.Resampling.LANCZOS)


def main() -> None:
    """Read the command line and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        sheet(args.folders).save(args.out, optimize=True)
    except SheetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
