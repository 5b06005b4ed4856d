"""What `serve --cluster` asks for: whoever reaches an unguarded cluster of Ray can run anything on all its machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from backend.errors import UserError
from shared.address import Address, AddressError, parse_address

MODE, TOKEN, TOKEN_FILE, TLS = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS"
DEFAULT_TOKEN_FILE = Path("~/.ray/auth_token")
INSTALL = "pip install 'splatsmith[ray]'"


class ClusterAccessError(UserError):
    """A cluster that is not used as it is asked for: one sentence."""


def check_access(text: str, closed_network: bool, environment: Mapping[str, str] = os.environ) -> Address:
    """The address of a cluster's head, as host:port.

    Raises ClusterAccessError where Ray is not installed, there is no token, or the head is on another machine and
    neither TLS is used nor the network said to be closed.
    """
    if find_spec("ray") is None:
        raise ClusterAccessError(f"cluster: Ray is not installed; install it with {INSTALL}.")
    try:
        address = parse_address(text)
    except AddressError as error:
        raise ClusterAccessError(
            f"cluster: {text!r} is not the address of a head; write it like 10.0.0.5:6379."
        ) from error
    if environment.get(MODE, "").lower() != "token":
        raise ClusterAccessError(
            f"cluster: set {MODE}=token, here and on every node, so that only you can use the cluster."
        )
    if not environment.get(TOKEN) and not _token_file(environment).is_file():
        raise ClusterAccessError(
            f"cluster: there is no token; make one with ray get-auth-token --generate, and copy {DEFAULT_TOKEN_FILE} "
            "to every node."
        )
    if not (address.loopback or closed_network or environment.get(TLS, "") in ("1", "true")):
        raise ClusterAccessError(
            f"cluster: {address} is on another machine, and Ray would talk to it in the open: set {TLS}=1 with its "
            "certificates, or add --closed-network if nobody else is on that network."
        )
    return address


def _token_file(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(TOKEN_FILE) or DEFAULT_TOKEN_FILE).expanduser()
