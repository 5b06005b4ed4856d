"""What a rule makes, cut out of the two sheets of all rules in docs/."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from backend.guidance.rules import RULES

DOCS = Path(__file__).parents[1]
# The rows of comparison.png, from above, as the sheet has them.  Those of image.webp are in the order of the rules.
COMPARED = [*"nfsd sds ssd consistent3d csd ism jsd sdi vdm asd asd-async lods vsd dreamflow lmc".split(), "sds, field"]
NAMES, LABEL, GAP = 92, 20, 6  # pixels of `backend.studies.evaluate.sheet.table_sheet`
PROMPTS, SEEDS, SMALL = 8, 4, 64
PLAIN, LARGE = 2, 96


def of_splats(rule: str) -> bytes | None:
    """A PNG: eight prompts in two rows, four seeds of each; None where the sheet does not show the rule."""
    if rule not in COMPARED:
        return None
    width = SEEDS * SMALL
    top = COMPARED.index(rule) * (SMALL + 4)
    with Image.open(DOCS / "comparison.png") as sheet:
        _check(sheet, NAMES + PROMPTS * (width + GAP), len(COMPARED) * (SMALL + 4))
        page = Image.new("RGB", (PROMPTS // 2 * (width + GAP), 2 * (LABEL + SMALL)), "white")
        for index in range(PROMPTS):
            left = NAMES + index * (width + GAP)
            to = index % 4 * (width + GAP), index // 4 * (LABEL + SMALL)
            page.paste(sheet.convert("RGB").crop((left, 0, left + width, LABEL)), to)
            row = sheet.convert("RGB").crop((left, LABEL + top, left + width, LABEL + top + SMALL))
            page.paste(row, (to[0], to[1] + LABEL))
    return _png(page)


def of_plain_pictures(rule: str) -> bytes | None:
    """A PNG: two prompts, two pictures of each; None where the sheet does not show the rule."""
    names = list(RULES)
    with Image.open(DOCS / "image.webp") as sheet:
        rows = (sheet.height - LABEL) // (LARGE + 4)
        if rule not in names[:rows]:
            return None
        _check(sheet, NAMES + PLAIN * (2 * LARGE + GAP), rows * (LARGE + 4))
        top = LABEL + names.index(rule) * (LARGE + 4)
        return _png(sheet.convert("RGB").crop((NAMES, top, sheet.width, top + LARGE)))


def _check(sheet: Image.Image, width: int, height: int) -> None:
    if sheet.size != (width, LABEL + height):
        raise ValueError(f"A sheet in docs/ is {sheet.size}: say in docs/generate/pictures.py how it is laid out now.")


def _png(page: Image.Image) -> bytes:
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()
