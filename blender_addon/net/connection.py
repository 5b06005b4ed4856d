"""One connection to a backend, from its first packet until it is lost; no bpy.  Only the client's thread uses it.

ZeroMQ would reconnect by itself without a word.  Here a connection is never reused, and the monitor of its socket tells
why it ended, so that the panel can say what to do.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Literal

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..shared import VERSION
from ..shared.address import Address
from ..shared.codec import Frame, ProtocolError, decode_answer, encode
from ..shared.dealer import HANDSHAKE, Keys, dealer
from ..shared.messages import PROTOCOL_VERSION, FromServer, Hello, Ping, Pong, SayHello, Welcome
from ..shared.waker import Waker

Failure = Literal["unreachable", "refused"]

TICK = 1000  # milliseconds; messages wake the thread sooner, and whenever it wakes it takes Python's lock from Blender
PING_EVERY = 2.0  # seconds
PATIENCE = 6.0  # seconds without an answer until the backend counts as hanging
AWAY = 20.0  # seconds without a turn for this thread, after which the backend may have forgotten us

OTHER_PROGRAM = "The program at {} is no Splatsmith backend: choose another port, here and for the backend."
NOBODY = "No backend answers at {}: start it, or correct the address in the preferences."
LOST = "The connection to the backend at {} was lost: start the backend again if it has ended."
NO_WELCOME = "Something answers at {}, but not as a backend does: wait if it is just starting, else check the port."
WRONG_KEY = "The backend at {} does not know this key: paste the line that `serve` printed into the preferences."
KEY_NEEDED = "The backend at {} asks for a key: paste the line that `serve` printed into the preferences."
NO_KEY_NEEDED = "The backend at {} takes no key: remove it from the preferences."
# By whether we have a key.  A backend that expects the other kind of security may hang up without giving a reason.
HUNG_UP = {
    True: "The backend at {} does not know this key, or takes none: paste the line that `serve` printed, or remove it.",
    False: "The program at {} is no Splatsmith backend, or one that asks for a key: choose another port, here and for "
    "the backend, or paste the line that `serve` printed into the preferences.",
}
FAILED_HANDSHAKES = (
    zmq.Event.HANDSHAKE_FAILED_AUTH,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
)
OTHER_MECHANISM = 0x11000002  # ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH


class ConnectionLostError(Exception):
    """The connection is lost; `text` is a sentence that says why."""

    def __init__(self, state: Failure, text: str) -> None:
        super().__init__(text)
        self.state: Failure = state
        self.text = text


class Connection:
    """A DEALER socket that connects.  Once the connection is lost, methods raise ConnectionLostError."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: Address, keys: Keys | None) -> None:
        self.address, self.secure = address, keys is not None
        self.welcome: Welcome | None = None
        self._socket = dealer(context, address, keys)
        self._socket.reconnect_ivl = -1  # never by itself
        self._socket.rcvhwm = 4
        self._monitor = self._socket.get_monitor_socket()
        self._began = self._last_turn = self._asked = time.monotonic()
        self._answered = 0.0  # when the backend last said that it is there
        self._greeted = 0.0  # when we last said Hello
        self._connected = False
        self._tokens = itertools.count()
        try:
            self._socket.connect(address.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConnectionLostError("unreachable", NOBODY.format(address)) from error

    def close(self) -> None:
        """Close the sockets."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()

    def wait(self, waker: Waker) -> None:
        """Return when there is something to do: a message, a call of `waker.wake()`, or TICK is over."""
        poller = zmq.Poller()
        for source in (self._socket, self._monitor, waker.fileno()):
            poller.register(source, zmq.POLLIN)
        poller.poll(TICK)
        waker.clear()

    @property
    def overdue(self) -> bool:
        """Whether a backend that has greeted us has not answered for PATIENCE seconds."""
        return self.welcome is not None and time.monotonic() - self._answered > PATIENCE

    def keep_alive(self) -> None:
        """Check the socket's events, ping the backend, and say Hello again where it may have forgotten us."""
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())
            self._handle_event(zmq.Event(event["event"]), event["value"])
        now = time.monotonic()
        away, self._last_turn = now - self._last_turn > AWAY, now
        if not self._greeted:
            if now - self._began > 2 * HANDSHAKE:
                # For an unknown host name, or a machine that is off, the socket reports no event at all.
                text = OTHER_PROGRAM if self._connected else NOBODY
                raise ConnectionLostError("refused" if self._connected else "unreachable", text.format(self.address))
        elif self.welcome is None and now - self._greeted > PATIENCE:
            raise ConnectionLostError("unreachable", NO_WELCOME.format(self.address))
        elif away:
            self._say_hello()
        elif now - self._asked > PING_EVERY:
            self._asked = now
            self.send(encode(Ping(token=next(self._tokens))))

    def send(self, frames: Sequence[Frame]) -> bool:
        """Send now.  Returns False if the socket's queue is full."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True

    def receive(self) -> FromServer | None:
        """The next message, or None."""
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        try:
            message = decode_answer([frame.buffer for frame in frames])
        except ProtocolError as error:
            raise ConnectionLostError("refused", OTHER_PROGRAM.format(self.address)) from error
        if isinstance(message, Welcome | Pong | SayHello):
            self._answered = time.monotonic()
        if isinstance(message, Welcome):
            self.welcome = message
        elif isinstance(message, SayHello) and time.monotonic() - self._greeted > PING_EVERY:
            self._say_hello()  # it has not heard us for long and forgot us; this Hello answers all such messages
        return message

    def _handle_event(self, event: zmq.Event, value: int) -> None:
        """React to an event of the socket's monitor."""
        if event == zmq.Event.CONNECTED:
            self._connected = True
        elif event == zmq.Event.HANDSHAKE_SUCCEEDED:
            self._say_hello()
        elif event in FAILED_HANDSHAKES:
            raise ConnectionLostError("refused", self._refusal(event, value).format(self.address))
        elif event == zmq.Event.DISCONNECTED:
            raise ConnectionLostError("unreachable", LOST.format(self.address))
        elif event == zmq.Event.CLOSED and not self._connected:
            raise ConnectionLostError("unreachable", NOBODY.format(self.address))

    def _refusal(self, event: zmq.Event, value: int) -> str:
        if event == zmq.Event.HANDSHAKE_FAILED_AUTH:
            return WRONG_KEY
        if event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
            return HUNG_UP[self.secure]
        if value == OTHER_MECHANISM:
            return NO_KEY_NEEDED if self.secure else KEY_NEEDED
        return WRONG_KEY if self.secure else OTHER_PROGRAM

    def _say_hello(self) -> None:
        self._greeted = time.monotonic()
        self.send(encode(Hello(protocol=PROTOCOL_VERSION, version=VERSION)))
