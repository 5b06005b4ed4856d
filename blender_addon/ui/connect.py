"""The link to the backend as the preferences have it: the client's connection, and the process that we start."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..net.client import Client
from ..net.launcher import Backend, LauncherError
from ..net.state import NO_PRIORS, session
from ..shared.address import AddressError, parse_address
from .preferences import log_file, preferences


def connect(context: bpy.types.Context) -> None:
    """Have a client for the address of the preferences, or the sentence that says why there is none."""
    chosen = preferences(context)
    wanted = (chosen.address, chosen.server_key, chosen.secret_key, bpy.app.online_access)
    if session.client_for == wanted:
        return
    if session.client is not None:
        session.client.stop(0.0)
    session.client, session.client_for, session.problem, session.welcome = None, wanted, "", None
    session.priors = NO_PRIORS
    try:
        if not parse_address(chosen.address).loopback and not bpy.app.online_access:
            session.problem = "The backend is on another computer: allow online access in Preferences > System first."
            return
        session.client = Client(*wanted[:3])
    except AddressError as error:
        session.problem = str(error)
        return
    session.client.start()


def greet() -> None:
    """Take note of a connection that was made."""
    welcome = session.connection.welcome if session.ready else None
    if welcome is not None and welcome is not session.welcome:
        session.greet(welcome)


def running() -> bool:
    """Whether a backend that we started is there."""
    return session.backend is not None and session.backend.state != "ended"


def start_backend(context: bpy.types.Context) -> None:
    """Start the backend on this computer.  LauncherError or AddressError, in one sentence, where that cannot be."""
    chosen = preferences(context)
    if not chosen.backend_folder:
        raise LauncherError("Choose the folder of Splatsmith's repository in the add-on's preferences first.")
    folder = Path(bpy.path.abspath(chosen.backend_folder))
    session.backend = Backend(folder, log_file(), parse_address(chosen.address))


def autostart() -> None:
    """A timer's function, called once: start the backend where the preferences say so."""
    try:
        if preferences(bpy.context).autostart and not session.ready:
            start_backend(bpy.context)
    except (LauncherError, AddressError) as error:
        session.say(str(error))
