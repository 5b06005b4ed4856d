"""What the sidebar says when something is not as it should be: the connection, the backend, the last request."""

from __future__ import annotations

import bpy

from ..net.state import session
from .drawing import sentence

Context = bpy.types.Context
Layout = bpy.types.UILayout

CONNECTIONS = {"connecting": "SORTTIME", "ready": "CHECKMARK", "unreachable": "UNLINKED", "refused": "ERROR"}


def draw_connection(layout: Layout, context: Context) -> None:
    """How things stand with the backend, and the button that mends it."""
    connection = session.connection
    box = layout.box()
    sentence(box, context, connection.text or "The backend is ready.", CONNECTIONS[connection.state])
    backend = session.backend
    if backend is not None and not session.ready:
        said = {"running": "The backend is starting.", "stopping": "The backend is stopping."}
        ended = f"The backend has ended with code {backend.exit_code}: its log is under Backend."
        sentence(box, context, said.get(backend.state, ended))
    if not session.ready:
        box.operator("splatsmith.start_backend", icon="PLAY")


def draw_trouble(layout: Layout, context: Context) -> None:
    """What keeps the backend from making anything, though it answers."""
    if not session.ready or not session.trouble.text:
        return
    box = layout.box()
    box.alert = True
    sentence(box, context, session.trouble.text, "ERROR")
    if session.trouble.detail:
        box.operator("splatsmith.copy_details", icon="COPYDOWN")


def draw_notice(layout: Layout, context: Context) -> None:
    """The last thing that went wrong."""
    box = layout.box()
    box.alert = True
    sentence(box, context, session.notice, "ERROR")
    if session.detail:
        box.operator("splatsmith.copy_details", icon="COPYDOWN")
