"""A contact sheet shows every job under its prompt."""

import json

import numpy as np
from PIL import Image

from backend.evaluate.sheet import COLUMNS, LABEL, ROW, sheet


def make_job(folder, colour):
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"prompt": "a cup", "objective": "vdm", "seed": 3}))
    Image.new("RGB", (8 * 256, 256), colour).save(folder / "turntable.png")
    return folder


def test_rows_fill_columns_in_order(tmp_path):
    colours = ["red", "lime", "blue"]
    page = np.asarray(sheet([make_job(tmp_path / colour, colour) for colour in colours]))
    width = 8 * ROW + 12
    assert page.shape == (2 * (ROW + LABEL), COLUMNS * width, 3)
    centres = [
        page[LABEL + ROW // 2 + line * (ROW + LABEL), 100 + column * width] for column, line in ((0, 0), (0, 1), (1, 0))
    ]
    assert [tuple(centre) for centre in centres] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert (page[:LABEL, :200] < 128).any()  # the words
    assert (page[-ROW:, width:] == 255).all()  # an empty place
