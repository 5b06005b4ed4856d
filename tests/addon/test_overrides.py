"""No context overrides in the add-on: where one is set and another Python thread is awake, Blender's operators crash.

Blender gives Python's lock away around operators.  Under an override it looks at PyThreadState_GetDict() to see whether
it needs the lock back, and takes another thread's hold of it for its own (4.2 to 5.0).
"""

import ast
from pathlib import Path

import pytest

ADDON = Path(__file__).parents[2] / "blender_addon"
FILES = sorted(ADDON.rglob("*.py"))


def overrides(source):
    """The lines where an override is named, as an attribute or by a name."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute | ast.Name))
    return sorted(
        node.lineno for node in names if "temp_override" in (getattr(node, "attr", ""), getattr(node, "id", ""))
    )


def test_an_override_is_seen():
    source = "import bpy\nwith bpy.context.temp_override(window=None):\n    pass\nuse = temp_override\n"
    assert overrides(source) == [2, 4]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ADDON)))
def test_the_add_on_overrides_no_context(file):
    assert overrides(file.read_text(encoding="utf-8")) == []
