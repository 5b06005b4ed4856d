"""One setting as the backend describes it, with the value that the artist gave it.

No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from ..shared.messages import Option
from .menus import menu

FIELDS = {"int": "count", "float": "number", "bool": "flag", "choice": "choice", "text": "chosen"}


def _option_choices(group: "SPLATSMITH_PG_option") -> list[tuple[str, str, str]]:
    return [(choice, choice, "") for choice in group.choices.split("\n")]


def _touch(option: "SPLATSMITH_PG_option", _context: bpy.types.Context) -> None:
    """Keep a number within its limits, and remember that the artist chose it."""
    if option.kind in ("int", "float"):
        field = option.field
        value = getattr(option, field)
        inside = type(value)(min(max(value, option.low), option.high))
        if inside != value:
            setattr(option, field, inside)  # calls this function again
    option.touched = True


class SPLATSMITH_PG_option(bpy.types.PropertyGroup):
    """One setting of an objective, or of kits; `name` is "objective.option" or "catalogue.option"."""

    kind: StringProperty(name="Kind", description="Which of the values counts")
    count: IntProperty(name="Value", description="The value of this setting", update=_touch)
    number: FloatProperty(name="Value", description="The value of this setting", update=_touch)
    factor: FloatProperty(
        name="Value", description="The value of this setting", min=0, max=1, subtype="FACTOR", update=_touch
    )
    flag: BoolProperty(name="Value", description="Whether this setting is on", update=_touch)
    chosen: StringProperty(name="Value", description="The value of this setting", update=_touch)
    choice: menu("chosen", _option_choices, "Value", "The value of this setting")
    choices: StringProperty(name="Choices", description="What can be chosen, one a line")
    low: FloatProperty(name="Least", description="The least value")
    high: FloatProperty(name="Most", description="The largest value")
    described_as: StringProperty(name="Described As", description="The option as the backend last described it")
    touched: BoolProperty(
        name="Changed", description="Whether the value is sent: the backend chooses what nobody has changed"
    )

    @property
    def field(self) -> str:
        """The property that holds the value: numbers from 0 to 1 have one with a slider."""
        return "factor" if self.kind == "float" and (self.low, self.high) == (0, 1) else FIELDS[self.kind]

    @property
    def value(self) -> Any:
        """The setting's value."""
        value = getattr(self, self.field)
        return round(value, 4) if self.field == "factor" else value

    def describe(self, option: Option) -> None:
        """Take the limits of an option, and its default unless the artist has chosen a value."""
        if self.described_as == repr(option):
            return
        before, self.kind = (self.kind, self.field if self.kind else ""), option.kind
        self.described_as = repr(option)
        self.choices = "\n".join(option.choices)
        self.low = -1e9 if option.low is None else option.low
        self.high = 1e9 if option.high is None else option.high
        self.touched &= before == (self.kind, self.field)
        if not self.touched:
            self.reset(option)

    def reset(self, option: Option) -> None:
        """Go back to the default, and leave the choice to the backend."""
        field = "chosen" if option.kind == "choice" else self.field
        setattr(self, field, option.default)
        self.touched = False
