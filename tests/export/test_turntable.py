"""The contact sheet and the loop: how many pictures, of what."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageSequence
from shapes import sphere

from backend.export.turntable import turntable_png, turntable_webp


def test_sheet_shows_every_side_once(tmp_path):
    turntable_png(sphere(0.8, 2000), tmp_path / "turntable.png", views=8, size=64)
    sheet = np.asarray(Image.open(tmp_path / "turntable.png"))
    assert sheet.shape == (64, 512, 3)
    assert (sheet[0] == 255).all()
    views = sheet.reshape(64, 8, 64, 3)[24:40, :, 24:40].mean((0, 2))  # the middle of each
    front, back = views[0], views[4]
    assert front[0] > back[0] + 100  # red before, blue behind
    assert back[2] > front[2] + 100
    assert len({tuple(np.rint(view).astype(int)) for view in views}) >= 5


def test_loop_turns_once_and_repeats(tmp_path):
    path = tmp_path / "turntable.webp"
    turntable_webp(sphere(0.8, 1000), path, frames=12, size=48)
    with Image.open(path) as loop:
        assert (loop.n_frames, loop.info["loop"], loop.size) == (12, 0, (48, 48))
        frames = [np.asarray(frame.convert("RGB"), float) for frame in ImageSequence.Iterator(loop)]
    steps = [np.abs(frames[i] - frames[i - 1]).mean() for i in range(12)]
    assert min(steps) > 0.5
    assert max(steps) < np.abs(frames[0] - frames[6]).mean()  # neighbours are more alike than opposite sides
