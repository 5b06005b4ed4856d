"""Two environments share this folder: tests/blender runs in Blender's Python, the rest in the backend's."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.tiers import SLOW

collect_ignore = [] if find_spec("bpy") else ["blender"]
ROOT = Path(__file__).parents[1]
SLOW_FILES = tuple(str(ROOT / path) for path in SLOW)


def pytest_collection_modifyitems(items):
    """Slow files come first, so that a run on several cores does not end with one core waiting for them.

    Tests marked `gpu` are skipped where torch sees no CUDA device.
    """
    items.sort(key=lambda item: not str(item.path).startswith(SLOW_FILES))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
