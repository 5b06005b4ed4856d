"""The address of a backend, as people write it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .messages import DEFAULT_PORT

EXAMPLE = f"write it like 127.0.0.1:{DEFAULT_PORT}"


class AddressError(ValueError):
    """The address cannot be used; one sentence that says how to write it."""


@dataclass(frozen=True)
class Address:
    """A host's name or number, IPv6 without its brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The address as ZeroMQ wants it."""
        return f"tcp://{self}"

    @property
    def loopback(self) -> bool:
        """Whether it never leaves this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Reads `http://host:port`, `tcp://host:port`, `host:port`, a host or a port; AddressError for anything else."""
    bare = re.sub(r"^(tcp|https?)://", "", text.strip(), flags=re.IGNORECASE).rstrip("/")
    if bare.isdecimal():
        bare = f"127.0.0.1:{bare}"
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,9}))?", bare)
    if not found:
        raise AddressError(f"“{text}” is no address of a backend: {EXAMPLE}.")
    port = int(found[2] or DEFAULT_PORT)
    if port > 65535:
        raise AddressError(f"“{text}” has the port {port}, and 65535 is the highest: {EXAMPLE}.")
    return Address(found[1].strip("[]"), port)
