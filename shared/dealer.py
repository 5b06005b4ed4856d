"""A client's socket, and the keys without which another machine's server answers nobody."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from .address import Address, AddressError
from .codec import MOST_BYTES

Keys = tuple[bytes, bytes]  # the server's public, the client's secret

# Milliseconds for a closed socket to finish sending.  If it gives up between two parts of a message just as the other
# end leaves, libzmq 4.3.5 aborts the process (zeromq/libzmq#3442): often with 0, on a busy machine even with 50.
LINGER = 5000
HANDSHAKE = 3.0  # seconds for a program to show that it speaks ZeroMQ


def parse_keys(address: Address, words: Sequence[str]) -> Keys | None:
    """The two keys of 40 characters; None if none are given and none are needed.

    Raises AddressError where they are missing or not whole.
    """
    if not words and address.loopback:
        return None
    if not words:
        raise AddressError(f"{address} is another machine: give the key that `serve --listen` printed there.")
    try:
        server, secret = words
        keys = server.encode("ascii"), secret.encode("ascii")
        for key in keys:
            zmq.curve_public(key)
    except (ValueError, zmq.ZMQError) as error:
        raise AddressError("The key is not whole: give the whole line that `serve --listen` printed.") from error
    return keys


def dealer(context: zmq.Context[zmq.Socket[bytes]], address: Address, keys: Keys | None) -> zmq.Socket[bytes]:
    """An unconnected socket that refuses to send while nobody is connected.

    When it is closed, only the thread that ends its context waits, LINGER at most.
    """
    socket = context.socket(zmq.DEALER)
    socket.linger = LINGER
    socket.immediate = True
    socket.maxmsgsize = MOST_BYTES
    socket.handshake_ivl = int(1000 * HANDSHAKE)
    socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, 30
    socket.ipv6 = ":" in address.host
    if keys is not None:
        socket.curve_serverkey, socket.curve_secretkey = keys
        socket.curve_publickey = zmq.curve_public(keys[1])
    return socket
