"""A connection to a server for reading alone: it sends Hello, Ping, Watch and Fetch, and no order.

ZeroMQ connects again by itself; the server then does not know us and says so, and we say Hello anew.
"""

from __future__ import annotations

import itertools
import time

import zmq
from zmq.utils.monitor import parse_monitor_message

from backend.errors import UserError
from shared import VERSION
from shared.address import Address
from shared.codec import ProtocolError, decode_answer, encode
from shared.dealer import Keys, dealer
from shared.messages import (
    PROTOCOL_VERSION,
    Error,
    Fetch,
    FromClient,
    FromServer,
    Hello,
    Ping,
    Pong,
    SayHello,
    Watch,
    Welcome,
)

PING_EVERY = 2.0  # seconds
PATIENCE = 6.0  # seconds without an answer until the server counts as away
FIRST_PATIENCE = 8.0  # seconds for the first Welcome
MOST_AT_ONCE = 200  # messages in a row
AWAY = "The server at {} does not answer; this page goes on by itself when it is back."
NOBODY = "view: no server answers at {}: start it with `serve`, or correct the address."
NO_SERVER = (
    "view: what answers at {} is no Splatsmith server, or one with another key: check the port, and give the line that "
    "`serve` printed with --key."
)
OTHER_VERSION = "The server at {} is of another version ({}): run `view` of the same version."
REFUSED = (
    zmq.Event.HANDSHAKE_FAILED_AUTH,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
)


class Connection:
    """A DEALER socket.  `trouble` is a sentence while the server is away or cannot be talked to, else ""."""

    def __init__(self, address: Address, keys: Keys | None) -> None:
        self.address, self.trouble = address, AWAY.format(address)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = dealer(self._context, address, keys)
        self._socket.reconnect_ivl = 500
        self._monitor = self._socket.get_monitor_socket()
        self._tokens, self._asked, self._answered = itertools.count(), 0.0, 0.0
        self._greeted = self.refused = False
        self._watched: tuple[str, ...] = ()
        self._socket.connect(address.endpoint)

    def wait_for_welcome(self) -> list[FromServer]:
        """The first messages; UserError where no server welcomes us."""
        end, heard = time.monotonic() + FIRST_PATIENCE, list[FromServer]()
        while time.monotonic() < end:
            heard += self.messages()
            if self._answered and not self.trouble:
                return heard
            if self._answered and self.trouble:
                raise UserError(f"view: {self.trouble}")
            if self.refused:
                break
            self._socket.poll(50)
        raise UserError((NO_SERVER if self.refused else NOBODY).format(self.address))

    def messages(self) -> list[FromServer]:
        """What has come, and what keeps the connection alive."""
        self._follow_events()
        heard: list[FromServer] = []
        while len(heard) < MOST_AT_ONCE and (message := self._receive()) is not None:
            heard.append(message)
        now = time.monotonic()
        if now - self._answered > PATIENCE and not self.trouble:
            self.trouble = AWAY.format(self.address)
        if now - self._asked > PING_EVERY:
            self._asked = now
            self._send(Ping(token=next(self._tokens)) if self._greeted else _hello())
        return heard

    def watch(self, jobs: tuple[str, ...]) -> None:
        """Have the pictures and splats of these jobs sent, now and after the server was away."""
        self._watched = jobs
        self._send(Watch(jobs=jobs))

    def fetch(self, job: str) -> None:
        """Have the results of a job sent."""
        self._send(Fetch(job=job))

    def close(self) -> None:
        """Close the sockets."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._context.destroy(linger=2000)  # shorter, libzmq 4.3.5 may abort (zeromq/libzmq#3442)

    def _receive(self) -> FromServer | None:
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        try:
            message = decode_answer([frame.buffer for frame in frames])
        except ProtocolError:
            text = "its messages cannot be read"
            message = Error(text=text)
        self._take(message)
        return message

    def _take(self, message: FromServer) -> None:
        now = time.monotonic()
        if isinstance(message, Welcome):
            self._greeted, self._answered = True, now
            self.trouble = ""
            self._send(Watch(jobs=self._watched))
        elif isinstance(message, Pong):
            self._answered = now
            self.trouble = ""
        elif isinstance(message, SayHello):
            self._greeted = False
            self._send(_hello())
        elif isinstance(message, Error) and not self._greeted:
            self._answered = now
            self.trouble = OTHER_VERSION.format(self.address, message.text.rstrip("."))

    def _follow_events(self) -> None:
        while self._monitor.poll(0):
            event = zmq.Event(parse_monitor_message(self._monitor.recv_multipart())["event"])
            if event in REFUSED:
                self.refused = True
            elif event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self._send(_hello())
            elif event == zmq.Event.DISCONNECTED and self._greeted:
                self._greeted, self.trouble = False, AWAY.format(self.address)

    def _send(self, message: FromClient) -> None:
        """Send now; what cannot be sent is asked again later, or after the next Welcome."""
        try:
            self._socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return


def _hello() -> Hello:
    return Hello(protocol=PROTOCOL_VERSION, version=VERSION)
