"""The house rules that can be counted: how long files and functions are, and that a name stands for one thing."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for room in ("blender_addon", "shared") for file in (ROOT / room).rglob("*.py"))
TESTS = sorted(file for room in ("addon", "blender", "shared") for file in (ROOT / "tests" / room).rglob("*.py"))


@pytest.mark.parametrize("file", [*FILES, *TESTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_has_over_250_lines_and_no_function_over_60(file):
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 250
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= 60} == {}


def test_no_two_classes_of_the_add_on_and_the_protocol_have_the_same_name():
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in FILES]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []
