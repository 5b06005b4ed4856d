"""What all operators have in common: a reason for each grey button, and a sentence for each refusal.

No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

from typing import Literal, TypeAlias, cast

import bpy
from bpy.props import StringProperty

from ..net.rows import Row
from ..net.state import addon_state
from .job_list import active_job

Context: TypeAlias = bpy.types.Context
Result = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]


def refuse(operator: bpy.types.Operator, sentence: str) -> Result:
    """Say why nothing was done, in a popup and in the panel."""
    addon_state.say(sentence)
    operator.report({"ERROR"}, sentence)
    return {"CANCELLED"}


def warn(operator: bpy.types.Operator, notes: list[str]) -> None:
    """Say in one message what was left out; without notes, clear the last message."""
    more = f" And {len(notes) - 3} more like these." if len(notes) > 3 else ""
    addon_state.say(" ".join(note[0].upper() + note[1:] for note in notes[:3]) + more, "\n".join(notes[3:]))
    if notes:
        operator.report({"WARNING"}, addon_state.notice)


def can_press(cls: type[bpy.types.Operator], reasons: dict[str, bool]) -> bool:
    """Whether none of the reasons against it holds.  The first that does becomes the tooltip of the grey button."""
    why = next((sentence for sentence, holds in reasons.items() if holds), "")
    if why:
        cls.poll_message_set(why)
    return not why


def unreachable() -> dict[str, bool]:
    """The reason against every request: the backend does not answer."""
    return {addon_state.status.text or "The backend does not answer yet.": not addon_state.ready}


class JobOperator:
    """What the buttons below the list have in common; `job` is an id, or "" for the chosen job."""

    job: StringProperty(
        name="Job",
        description="The id of the job; nothing for the one chosen in the list",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def row(cls, context: Context) -> Row | None:
        """The chosen job."""
        return addon_state.rows.get(active_job(context.window_manager))

    def id(self, context: Context) -> str:
        """The id of the job that the button is for."""
        return self.job or active_job(context.window_manager)

    @classmethod
    def poll(cls, context: Context) -> bool:
        """Whether the button can be pressed for the chosen job."""
        row = cls.row(context)
        no_row = {"Choose a job in the list first.": row is None}
        operator = cast(type[bpy.types.Operator], cls)  # those that inherit this are operators too
        return can_press(operator, {**unreachable(), **no_row, **(cls.reasons_against(row) if row else {})})

    @classmethod
    def reasons_against(cls, row: Row) -> dict[str, bool]:
        """More reasons against pressing the button, besides those of every request."""
        raise NotImplementedError
