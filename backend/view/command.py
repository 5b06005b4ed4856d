"""`view`: opens the page and keeps it up to date until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any, Protocol

from backend.errors import UserError
from backend.terminal import note
from backend.view.page import OPEN_TO_OTHERS, address_of, close_page, is_loopback, open_page
from shared.address import AddressError, parse_address

PAUSE = 0.1  # seconds between two updates
ADDRESS = re.compile(r"(tcp|https?)://.*|[^/\\]*:\d+|\d+", re.IGNORECASE)


class Page(Protocol):
    """What is shown.  Its constructor refuses what cannot be shown, before there is a page."""

    @property
    def title(self) -> str:
        """What the page is called."""

    def open(self, server: Any) -> None:
        """Make the page's parts."""

    def update(self) -> None:
        """Show how things are now."""

    def close(self) -> None:
        """Give back what it holds."""


def view(target: str, key: str, host: str, port: int | None, browser: bool) -> int:
    """Show a job's folder, a folder of several or a server's jobs until SIGINT or SIGTERM; the exit code.

    Raises UserError where there is nothing to show, or the page cannot be made.
    """
    page, stopping = choose_page(target, key), threading.Event()
    try:
        server = open_page(host, port, page.title)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        if not is_loopback(host):
            note(OPEN_TO_OTHERS.format(host))
        page.open(server)
        page.update()
        address = address_of(host, server.get_port())
        print(f"{page.title} is shown at {address} until you press Ctrl-C.", flush=True)
        if browser and _has_display():
            webbrowser.open(address)
        while not stopping.wait(PAUSE):
            page.update()
        close_page(server)
    finally:
        page.close()
    return 0


def choose_page(target: str, key: str) -> Page:
    """The page for a folder, or for the server at an address; UserError where it is neither or has nothing to show."""
    path = Path(target)
    if path.is_dir():
        from backend.view.results_page import ResultsPage

        return ResultsPage(path)
    if path.exists():
        raise UserError(f"view: {target} is a file; name the folder that it is in.")
    if not ADDRESS.fullmatch(target):
        raise UserError(f"view: {target} is no folder; a server is written like tcp://127.0.0.1:47800.")
    from backend.view.server_page import ServerPage
    from shared.dealer import parse_keys

    try:
        address = parse_address(target)
    except AddressError as error:
        raise UserError(f"view: {error}") from error
    try:
        keys = parse_keys(address, _words(key))
    except AddressError as error:
        raise UserError(f"view --key: {error}") from error
    return ServerPage(address, keys)


def _words(key: str) -> list[str]:
    """The last two words of the line that `serve` printed, or of a file with it."""
    file = Path(key)
    return (file.read_text(encoding="utf-8") if len(key) < 1000 and key and file.is_file() else key).split()[-2:]


def _has_display() -> bool:
    """Whether a browser could show up on this machine's screen."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
