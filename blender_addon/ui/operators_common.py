"""What all operators have in common: a reason for each grey button, and a sentence for each refusal."""

from __future__ import annotations

import bpy

from ..net.state import addon_state

Context = bpy.types.Context
Result = set[str]


def refuse(operator: bpy.types.Operator, sentence: str) -> Result:
    """Say why nothing was done."""
    addon_state.say(sentence)
    operator.report({"ERROR"}, sentence)
    return {"CANCELLED"}


def warn(operator: bpy.types.Operator, notes: list[str]) -> None:
    """Say what was left out of what is done, in one message; without notes, that there is nothing to say."""
    more = f" And {len(notes) - 3} more like these." if len(notes) > 3 else ""
    addon_state.say(" ".join(note[0].upper() + note[1:] for note in notes[:3]) + more, "\n".join(notes[3:]))
    if notes:
        operator.report({"WARNING"}, addon_state.notice)


def can_press(cls: type[bpy.types.Operator], reasons: dict[str, bool]) -> bool:
    """Whether none of the reasons against it holds; the first that does is the tooltip of the grey button."""
    why = next((sentence for sentence, holds in reasons.items() if holds), "")
    if why:
        cls.poll_message_set(why)
    return not why


def unreachable() -> dict[str, bool]:
    """The reason that keeps every request from being heard."""
    return {addon_state.status.text or "The backend does not answer yet.": not addon_state.ready}
