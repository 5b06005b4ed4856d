"""Menus whose choices change while Blender runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import bpy
from bpy.props import EnumProperty

Choice = tuple[str, str, str]  # identifier, title, tooltip
Item = tuple[str, str, str, int]


@lru_cache(maxsize=256)
def _items(names: tuple[Choice, ...]) -> list[Item]:
    """The items of a menu.  They are cached because Blender does not copy their strings, which must stay alive."""
    return [(*name, number) for number, name in enumerate(names)]


def menu(stored: str, choices: Callable[[Any], Iterable[Choice]], name: str, description: str, **more: Any) -> Any:
    """A menu whose choices change.  The choice is kept as text in the property `stored`, even if it is not on offer."""

    def items(group: bpy.types.PropertyGroup, _context: bpy.types.Context | None) -> list[Item]:
        offered = tuple(choices(group))
        chosen = getattr(group, stored)
        known = any(chosen == identifier for identifier, _, _ in offered)
        return _items(offered if known else (*offered, (chosen, chosen, "Not on offer now")))

    def get(group: bpy.types.PropertyGroup) -> int:
        return next(number for identifier, _, _, number in items(group, None) if identifier == getattr(group, stored))

    def put(group: bpy.types.PropertyGroup, number: int) -> None:
        setattr(group, stored, items(group, None)[number][0])

    return EnumProperty(name=name, description=description, items=items, get=get, set=put, **more)
