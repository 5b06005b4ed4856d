"""The objects of a file: the top nodes of its scene, or the names in an OBJ file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def owners(scene: Any, path: Path) -> dict[str, str]:
    """For each node with a geometry, the name of the object it belongs to; "" if the file names none."""
    nodes = list(scene.graph.nodes_geometry)
    names = _names(path)
    if names:  # trimesh names a part of an object by the names of object and material
        longest = sorted(names, key=len, reverse=True)
        return {node: next((n for n in longest if f"{node}_".startswith(f"{n}_")), "") for node in nodes}
    tops = _tops(scene)
    parents = scene.graph.transforms.parents
    return {node: _top(node, parents, tops) for node in nodes}


def split_of(path: Path) -> dict[str, bool]:
    """The options with which trimesh keeps the objects of an OBJ file separate."""
    objects, groups = (_names(path, kind) for kind in "og")
    return {"split_objects": True} if objects else {"split_groups": True} if groups else {}


def _names(path: Path, kind: str = "og") -> list[str]:
    """The names of the objects, or else of the groups, in an OBJ file."""
    if path.suffix.lower() != ".obj" or not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    found = (re.findall(rf"^{letter}[ \t]+(\S.*?)[ \t]*$", text, re.MULTILINE) for letter in kind)
    return next((list(dict.fromkeys(names)) for names in found if names), [])


def _tops(scene: Any) -> set[str]:
    """The children of the root; if that is a single empty node, its children instead."""
    children, shown = scene.graph.transforms.children, set(scene.graph.nodes_geometry)
    tops = children.get(scene.graph.base_frame, [])
    while len(tops) == 1 and tops[0] not in shown and children.get(tops[0]):
        tops = children[tops[0]]
    return set(tops)


def _top(node: str, parents: dict[str, str], tops: set[str]) -> str:
    while node not in tops and node in parents:
        node = parents[node]
    return node
