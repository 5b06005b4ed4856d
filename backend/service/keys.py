"""CURVE keys for servers that other machines can reach: clients without one of these keys get no answer.

keys/server/server.key_secret                  the server's own pair
keys/clients/client.key  client.key_secret     a client's pair; every *.key here is accepted
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq
from zmq.auth import create_certificates, load_certificate
from zmq.auth.thread import ThreadAuthenticator

DOMAIN = "splatsmith"


@contextmanager
def curve(socket: zmq.Socket[bytes], folder: Path) -> Iterator[str]:
    """Encrypt a ROUTER socket that is not yet bound, while the block runs; missing keys are made.

    Yields the line that a client needs: the server's public key, a blank, the client's secret key.
    """
    server, client = _pair(folder / "server", "server"), _pair(folder / "clients", "client")
    guard = ThreadAuthenticator(socket.context)
    guard.start()
    try:
        guard.configure_curve(domain=DOMAIN, location=folder / "clients")
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = server
        socket.zap_domain = DOMAIN.encode()
        yield f"{server[0].decode()} {client[1].decode()}"
    finally:
        guard.stop()


def _pair(folder: Path, name: str) -> tuple[bytes, bytes]:
    """Public and secret key of a name, made on the first call."""
    file = folder / f"{name}.key_secret"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_certificates(folder, name)
        file.chmod(0o600)
    public, secret = load_certificate(file)
    if secret is None:
        raise OSError(f"{file} has no secret key")
    return public, secret
