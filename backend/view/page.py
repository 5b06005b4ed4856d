"""The web page: viser's server on this machine, with what all our pages have in common."""

from __future__ import annotations

import errno
import io
import ipaddress
import socket
import sys
from contextlib import redirect_stdout
from html import escape
from typing import Any

from backend.errors import UserError
from backend.terminal import pasteable

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 47880
TRIED_PORTS = 20
VISER = "viser==1.1.1"  # as in pyproject.toml
OPEN_TO_OTHERS = (
    "{} is not this machine alone: everybody who reaches it sees prompts and results, without a key and not encrypted."
)


def open_page(host: str, port: int | None, title: str) -> Any:
    """A viser server that listens; without a port, on the first free one from DEFAULT_PORT on.

    Raises UserError where viser is missing or the address cannot be used.
    """
    try:
        import viser
    except ImportError as error:
        command = pasteable([sys.executable or "python", "-m", "pip", "install", VISER])
        raise UserError(
            f"view: the package viser, which draws the page, is missing; install it with: {command}"
        ) from error
    with redirect_stdout(io.StringIO()):  # viser prints a table of addresses
        server = viser.ViserServer(host, _free_port(host, port), label=title, verbose=False)
    # Nobody may publish the page through viser's own host: neither by the button nor by a message.
    setattr(server, "request_share_url", lambda *_, **__: None)  # noqa: B010
    server.gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
    server.gui.main_panel.dock_right()
    return server


def close_page(server: Any) -> None:
    """Stop the server and its threads."""
    with redirect_stdout(io.StringIO()):
        server.stop()


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine reaches the page."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}/"


def line(text: str, strong: bool = False, colour: str = "inherit") -> str:
    """A paragraph of HTML with any text."""
    weight = 600 if strong else 400
    return f'<p style="margin:0.15em 0.6em;font-weight:{weight};color:{colour};font-size:0.9em">{escape(text)}</p>'


def warning(text: str) -> str:
    """A paragraph that stands out."""
    style = "margin:0.3em 0.6em;padding:0.4em 0.6em;border-radius:4px;background:#fff3d6;color:#5b4300;font-size:0.9em"
    return f'<p role="alert" style="{style}">{escape(text)}</p>'


def _free_port(host: str, port: int | None) -> int:
    """The port, once it is known to be usable: viser would go on to the next ones without a word."""
    last: OSError | None = None
    for tried in range(DEFAULT_PORT, DEFAULT_PORT + TRIED_PORTS) if port is None else (port,):
        try:
            family = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, tried))
        except (OSError, OverflowError) as error:
            last = error if isinstance(error, OSError) else OSError(errno.EINVAL, "65535 is the highest port")
            if last.errno != errno.EADDRINUSE:
                break
        else:
            return tried
    if last is not None and last.errno == errno.EADDRINUSE:
        raise UserError(f"view: port {port or DEFAULT_PORT} of {host} is in use; choose another one with --port.")
    reason = last.strerror if last is not None and last.strerror else str(last)
    raise UserError(f"view: the page cannot be at {host}, port {port or DEFAULT_PORT} ({reason}).")
