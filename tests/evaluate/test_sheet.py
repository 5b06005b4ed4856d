"""A contact sheet shows every job under its prompt."""

import json

import numpy as np
import pytest
from PIL import Image

from backend.studies.evaluate.sheet import COLUMNS, FRONT, LABEL, ROW, SheetError, grid, sheet


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


@pytest.mark.parametrize("damage", [(37, b"\0" * 8), (0, b"none"), (60, b"")], ids=["chunk", "header", "cut"])
def test_jobs_without_a_readable_turntable_are_skipped(damage, tmp_path):
    folders = [make_job(tmp_path / colour, colour) for colour in ("red", "lime", "blue")]
    (folders[0] / "turntable.png").unlink()
    whole = (folders[1] / "turntable.png").read_bytes()
    at, written = damage
    (folders[1] / "turntable.png").write_bytes(whole[:at] + written + whole[at + len(written) :] * bool(written))
    page = np.asarray(sheet(folders))
    assert page.shape[0] == ROW + LABEL
    assert tuple(page[LABEL + ROW // 2, 100]) == (0, 0, 255)
    with pytest.raises(SheetError, match=r"no folder has a readable turntable.png"):
        sheet(folders[:2])
    places = np.asarray(grid({("vdm", "a cup"): folders}))[LABEL + FRONT // 2]
    assert (places == (0, 0, 255)).all(-1).sum() == FRONT  # in the third place, with the first two white


def test_a_grid_of_objectives_and_prompts_has_each_seed_from_the_front(tmp_path):
    red, lime, blue = (make_job(tmp_path / colour, colour) for colour in ("red", "lime", "blue"))
    page = np.asarray(grid({("vdm", "a cup"): [red, lime], ("csd with a long name", "a jug"): [blue]}))
    colours = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}
    found = {name: np.argwhere((page == colour).all(-1)) for name, colour in colours.items()}
    tops = {name: tuple(places.min(0)) for name, places in found.items()}
    assert all(len(places) == FRONT**2 for places in found.values())
    assert tops["red"][0] == tops["lime"][0] == LABEL
    assert tops["lime"][1] == tops["red"][1] + FRONT
    assert tops["blue"][0] > LABEL + FRONT
    assert tops["blue"][1] >= tops["lime"][1] + FRONT
