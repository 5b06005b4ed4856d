"""A contact sheet of finished jobs: prompt, objective and turntable, one row each.

python -m backend.evaluate.sheet out/* --out docs/contact_sheet.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROW, LABEL, COLUMNS = 96, 20, 2


def row(folder: Path) -> Image.Image:
    """One job's turntable under its prompt."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    turntable = Image.open(folder / "turntable.png").convert("RGB")
    turntable = turntable.resize((turntable.width * ROW // turntable.height, ROW), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (turntable.width + 12, ROW + LABEL), "white")
    picture.paste(turntable, (0, LABEL))
    text = f"{job['prompt']}  ({job['objective']}, seed {job['seed']})"
    ImageDraw.Draw(picture).text((6, 3), text, fill="black", font=ImageFont.load_default(13))
    return picture


def sheet(folders: list[Path]) -> Image.Image:
    """All rows, `COLUMNS` beside each other."""
    rows = [row(folder) for folder in folders]
    width, height = max(picture.width for picture in rows), rows[0].height
    lines = -(-len(rows) // COLUMNS)
    page = Image.new("RGB", (width * COLUMNS, height * lines), "white")
    for index, picture in enumerate(rows):
        page.paste(picture, (index // lines * width, index % lines * height))
    return page


def main() -> None:
    """Read the command line and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sheet([folder for folder in args.folders if (folder / "turntable.png").exists()]).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
