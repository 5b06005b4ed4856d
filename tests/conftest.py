"""Two environments share this folder: tests/blender runs in Blender's Python, the rest in the backend's."""

from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("bpy") else ["blender"]


def pytest_collection_modifyitems(items):
    """Tests marked `gpu` are skipped where torch sees no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
