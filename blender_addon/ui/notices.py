"""What the sidebar says when something is wrong with the connection, the backend or the last request."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import bpy

from ..net.state import addon_state
from .drawing import draw_text

Context: TypeAlias = bpy.types.Context
Layout: TypeAlias = bpy.types.UILayout

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

CONNECTIONS: dict[str, Icon] = {
    "connecting": "SORTTIME",
    "ready": "CHECKMARK",
    "unreachable": "UNLINKED",
    "refused": "ERROR",
}


def draw_connection(layout: Layout, context: Context) -> None:
    """How the connection to the backend is, and the button that starts the backend."""
    connection = addon_state.status
    box = layout.box()
    draw_text(box, context, connection.text or "The backend is ready.", CONNECTIONS[connection.state])
    backend = addon_state.backend
    if backend is not None and not addon_state.ready:
        said = {"running": "The backend is starting.", "stopping": "The backend is stopping."}
        ended = f"The backend has ended with code {backend.exit_code}: its log is under Backend."
        draw_text(box, context, said.get(backend.state, ended))
    if not addon_state.ready:
        box.operator("splatsmith.start_backend", icon="PLAY")


def draw_trouble(layout: Layout, context: Context) -> None:
    """Why the backend cannot make anything, although it answers."""
    if not addon_state.ready or not addon_state.trouble.text:
        return
    box = layout.box()
    box.alert = True
    draw_text(box, context, addon_state.trouble.text, "ERROR")
    if addon_state.trouble.detail:
        box.operator("splatsmith.copy_details", icon="COPYDOWN")


def draw_notice(layout: Layout, context: Context) -> None:
    """The last thing that went wrong."""
    box = layout.box()
    box.alert = True
    draw_text(box, context, addon_state.notice, "ERROR")
    if addon_state.detail:
        box.operator("splatsmith.copy_details", icon="COPYDOWN")
