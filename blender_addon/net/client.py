"""The add-on's side of the connection: a thread that alone touches the socket; no bpy.

The thread connects, says Hello, keeps the line alive, and tries again for ever; how things stand is one sentence in
`Client.connection`.  Blender's own thread only puts messages into one box and takes them out of another.

    connecting -> ready             the backend has said Welcome
               -> unreachable       nobody answers, or no longer
               -> refused           somebody does, and will not have us: another version, a wrong key, another program
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import zmq

from ..shared.address import Address, AddressError, parse_address
from ..shared.codec import ProtocolError, encode
from ..shared.message_queue import MessageQueue
from ..shared.messages import Error, FromClient, FromServer, Order, Pong, SayHello, Taken, Welcome
from ..shared.waker import Waker
from .connection import Connection, ConnectionLostError, Keys
from .pending_requests import PendingRequests

__all__ = ["AddressError", "Client", "ConnectionStatus"]

RETRY = {"unreachable": 0.5, "refused": 3.0}  # seconds until the next try
AT_ONCE = 100  # messages read before anything else is looked at, so that a flood cannot keep us from ending
MOST_WAITING = 10_000  # messages that Blender has not taken

ConnectionState = Literal["connecting", "ready", "unreachable", "refused"]


@dataclass(frozen=True)
class ConnectionStatus:
    """How things stand; `text` is a sentence for the panel that says what to do, "" when ready."""

    state: ConnectionState
    text: str
    welcome: Welcome | None


class Client:
    """A connection to the backend that is kept up.

    Raises AddressError where the address cannot be one, or is another machine's and there is no key for it.  The line
    that the backend printed holds both keys: it may be given whole as `server_key`.
    """

    def __init__(self, address: str, server_key: str = "", secret_key: str = "") -> None:
        self._address = parse_address(address)
        self._keys = _parse_keys(self._address, f"{server_key} {secret_key}".split())
        self._lock = threading.Lock()  # of the three below
        self._inbox: MessageQueue[FromServer] = MessageQueue()
        self._requests = PendingRequests()
        self._status = ConnectionStatus("connecting", f"Connecting to the backend at {self._address} …", None)
        self._waker = Waker()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="splatsmith-client", daemon=True)

    @property
    def status(self) -> ConnectionStatus:
        """How things stand now."""
        with self._lock:
            return self._status

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def send(self, message: FromClient) -> None:
        """Send as soon as the backend is there, and again where an answer was lost with the connection.

        What cannot travel, as a mesh far too large, comes back as an Error at once.
        """
        try:
            frames = encode(message)
        except ProtocolError as error:
            text = f"This cannot be sent to the backend: {error}."
            order = message.id if isinstance(message, Order) else None
            self._receive(Error(text=text, job=getattr(message, "job", None), order=order))
            return
        with self._lock:
            self._requests.add(message, frames)
        self._waker.wake()

    def receive(self, limit: int = 100) -> list[FromServer]:
        """What has come, at most `limit` messages; of Progress, Preview, Splats and JobState of a job the newest."""
        with self._lock:
            return [self._inbox.pop() for _ in range(min(limit, len(self._inbox)))]

    def stop(self, timeout: float = 1.0) -> None:
        """End the connection, and the thread once the line has sent what it took; waits no longer than `timeout`."""
        self._stopping.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _receive(self, message: FromServer) -> None:
        with self._lock:
            self._requests.settle(message)
            if len(self._inbox) >= MOST_WAITING:
                self._inbox.pop()
            self._inbox.put(message, message)

    def _set_status(self, state: ConnectionState, text: str = "", welcome: Welcome | None = None) -> None:
        with self._lock:
            self._status = ConnectionStatus(state, text, welcome)

    def _run(self) -> None:
        """The thread: one connection after the other."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while not self._stopping.is_set():
                try:
                    self._serve(Connection(context, self._address, self._keys))
                except ConnectionLostError as lost:
                    self._set_status(lost.state, lost.text)
                    self._stopping.wait(RETRY[lost.state])
        finally:
            context.destroy(linger=0)
            self._waker.close()

    def _serve(self, connection: Connection) -> None:
        """Use a connection until it is lost, or `stop`."""
        try:
            while not self._stopping.is_set():
                connection.wait(self._waker)
                for _ in range(AT_ONCE):
                    if (message := connection.receive()) is None:
                        break
                    self._handle(connection, message)
                connection.keep_alive()
                self._update_status(connection)
        finally:
            connection.close()

    def _update_status(self, connection: Connection) -> None:
        if connection.overdue:
            self._set_status(
                "unreachable", f"The backend at {self._address} does not answer: it hangs, or is very busy."
            )
        elif connection.welcome is not None:
            self._set_status("ready", welcome=connection.welcome)
            self._send_requests(connection)

    def _handle(self, connection: Connection, message: FromServer) -> None:
        if isinstance(message, Welcome):
            with self._lock:
                self._requests.mark_unsent()
            self._set_status("ready", welcome=message)
        elif isinstance(message, Error) and connection.welcome is None:
            raise ConnectionLostError("refused", message.text)
        if isinstance(message, Taken):
            with self._lock:
                self._requests.settle(message)
        elif not isinstance(message, Pong | SayHello):
            self._receive(message)

    def _send_requests(self, connection: Connection) -> None:
        with self._lock:
            for request in self._requests.unsent():
                if not connection.send(request.frames):
                    return
                request.sent = True


def _parse_keys(address: Address, words: list[str]) -> Keys | None:
    """The two keys of 40 characters, or None where none are given and none are needed."""
    if not words and address.loopback:
        return None
    if not words:
        raise AddressError(f"{address} is another machine: paste the key that `serve --listen` printed there.")
    try:
        server, secret = words
        keys = server.encode("ascii"), secret.encode("ascii")
        for key in keys:
            zmq.curve_public(key)
    except (ValueError, zmq.ZMQError) as error:
        raise AddressError("The key is not whole: paste the whole line that `serve --listen` printed.") from error
    return keys
