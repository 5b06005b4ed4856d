"""A square in two colours: the picture, how it is read from a file, and its corners."""

import numpy as np
import torch
from PIL import Image

from backend.scenes.initial import from_mesh

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
RED, GREEN = (255, 0, 0), (0, 255, 0)
HALF = 0.7354  # sRGB of half of the light


def halves(file, left=RED, right=GREEN):
    """A picture whose halves differ."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = left, right
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(file)


def colours(path, expected_notes=0):
    """The mean colours of the left and the right half (x in the file), each of one colour, and the notes."""
    notes = []
    generator = torch.Generator().manual_seed(0)
    splats, matrix = from_mesh(path, 800, generator, notes.append)
    assert len(notes) == expected_notes, notes
    x = splats.means @ matrix[0, :3] + matrix[0, 3]
    found = []
    for side in (x < 0.45, x > 0.55):
        inner = splats.rgb[side & ((x - 0.0).abs() > 0.05) & ((x - 1).abs() > 0.05)]
        assert inner.std(0).max() < 0.03
        found.append(inner.mean(0).tolist())
    return found


def is_red_then_green(found):
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 1, 0]], atol=0.02)
    return True
