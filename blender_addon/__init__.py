"""Splatsmith inside Blender: a thin client of the backend, which turns the backend's results into Blender's data.

The files lie in rooms, and a room imports only from itself and from those before it: `shared` (the messages), `net`
(connection, processes, state; works without Blender), `scene` (objects of the scene), `view` (the live view), `ui` (the
sidebar).  Above them are `incoming`, which handles each message, `timer`, which calls everything, and `registration`.

Nothing here imports torch or the backend; numpy and Blender's own Python are enough.  Blender calls `register` and
`unregister`.  They import inside the functions, so that the parts without bpy can be imported anywhere.
"""


def register() -> None:
    """Switch the add-on on."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Switch the add-on off, and end everything that it started."""
    from . import registration

    registration.unregister()
