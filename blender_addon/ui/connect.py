"""Connects to the backend that the preferences name, and starts it on this computer."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..net.client import Client
from ..net.launcher import BackendProcess, LauncherError
from ..net.state import NO_PRIORS, addon_state
from ..shared.address import AddressError, parse_address
from .preferences import log_file, preferences


def connect(context: bpy.types.Context) -> None:
    """Make a client for the address in the preferences, if they have changed, or say why that is impossible."""
    chosen = preferences(context)
    wanted = (chosen.address, chosen.server_key, chosen.secret_key, bpy.app.online_access)
    if addon_state.client_for == wanted:
        return
    if addon_state.client is not None:
        addon_state.client.stop(0.0)
    addon_state.client, addon_state.client_for, addon_state.problem, addon_state.welcome = None, wanted, "", None
    addon_state.priors = NO_PRIORS
    try:
        if not parse_address(chosen.address).loopback and not bpy.app.online_access:
            addon_state.problem = (
                "The backend is on another computer: allow online access in Preferences > System first."
            )
            return
        addon_state.client = Client(*wanted[:3])
    except AddressError as error:
        addon_state.problem = str(error)
        return
    addon_state.client.start()


def note_new_connection() -> None:
    """Take note of a new connection."""
    welcome = addon_state.status.welcome if addon_state.ready else None
    if welcome is not None and welcome is not addon_state.welcome:
        addon_state.connected(welcome)


def backend_is_running() -> bool:
    """Whether a backend that we started is running."""
    return addon_state.backend is not None and addon_state.backend.state != "ended"


def start_backend(context: bpy.types.Context) -> None:
    """Start the backend on this computer.  LauncherError or AddressError, in one sentence, if that is impossible."""
    chosen = preferences(context)
    if not chosen.backend_folder:
        raise LauncherError("Choose the folder of Splatsmith's repository in the add-on's preferences first.")
    folder = Path(bpy.path.abspath(chosen.backend_folder))
    addon_state.backend = BackendProcess(folder, log_file(), parse_address(chosen.address), bpy.app.online_access)


def autostart() -> None:
    """Called once by a timer: start the backend if the preferences say so."""
    try:
        if preferences(bpy.context).autostart and not addon_state.ready:
            start_backend(bpy.context)
    except (LauncherError, AddressError) as error:
        addon_state.say(str(error))
