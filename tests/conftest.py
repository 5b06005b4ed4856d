"""Two environments share this folder: tests/blender runs in Blender's Python, the rest in the backend's."""

from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("bpy") else ["blender"]
WAITING = {"server", "tools"}  # folders whose tests wait for other processes most of the time


def pytest_collection_modifyitems(items):
    """Tests that wait come first, so that a run on several cores does not end with one core waiting for them.

    Tests marked `gpu` are skipped where torch sees no CUDA device.
    """
    items.sort(key=lambda item: WAITING.isdisjoint(item.path.parts))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
