"""The add-on's side of the connection: a thread that alone touches the socket; no bpy.

The thread connects, says Hello, keeps the connection alive, and connects again whenever it is lost.  `Client.status`
says in one sentence how things are.  Blender's own thread only adds messages to one queue and reads another.

    connecting -> ready             the backend has said Welcome
               -> unreachable       nothing answers, or it has stopped answering
               -> refused           something answers but refuses us: another version, a wrong key, another program
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import zmq

from ..shared.address import AddressError, parse_address
from ..shared.codec import ProtocolError, encode
from ..shared.dealer import parse_keys
from ..shared.message_queue import MessageQueue
from ..shared.messages import Error, FromClient, FromServer, Order, Pong, SayHello, Taken, Welcome
from ..shared.waker import Waker
from .connection import Connection, ConnectionLostError
from .pending_requests import PendingRequests

__all__ = ["AddressError", "Client", "ConnectionStatus"]

RETRY = {"unreachable": 0.5, "refused": 3.0}  # seconds until the next try
AT_ONCE = 100  # messages read in a row; then the thread looks at everything else, so that it can end during a flood
MOST_WAITING = 10_000  # received messages that Blender has not read yet; beyond it the oldest is dropped

ConnectionState = Literal["connecting", "ready", "unreachable", "refused"]


@dataclass(frozen=True)
class ConnectionStatus:
    """The state of the connection; `text` tells the artist what to do, and is "" when ready."""

    state: ConnectionState
    text: str
    welcome: Welcome | None


class Client:
    """A connection to the backend that is made again whenever it is lost.

    Raises AddressError if the address is malformed, or if it is another machine's and there is no key for it.  The
    backend prints both keys in one line; `server_key` may be that whole line.
    """

    def __init__(self, address: str, server_key: str = "", secret_key: str = "") -> None:
        self._address = parse_address(address)
        self._keys = parse_keys(self._address, f"{server_key} {secret_key}".split())
        self._lock = threading.Lock()  # of the three below
        self._inbox: MessageQueue[FromServer] = MessageQueue()
        self._requests = PendingRequests()
        self._status = ConnectionStatus("connecting", f"Connecting to the backend at {self._address} …", None)
        self._waker = Waker()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="splatsmith-client", daemon=True)

    @property
    def status(self) -> ConnectionStatus:
        """How the connection is now."""
        with self._lock:
            return self._status

    def start(self) -> None:
        """Start to connect; returns at once."""
        self._thread.start()

    def send(self, message: FromClient) -> None:
        """Send as soon as the backend is connected, and again if the connection is lost before the answer.

        A message that cannot be sent, such as one with a mesh far too large, gives an Error in `receive` at once.
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
        """At most `limit` received messages; of a job's Progress, Preview, Splats and JobState only the newest."""
        with self._lock:
            return [self._inbox.pop() for _ in range(min(limit, len(self._inbox)))]

    def stop(self, timeout: float = 1.0) -> None:
        """End the connection and the thread, once what was begun is sent; waits at most `timeout` seconds."""
        self._stopping.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _receive(self, message: FromServer) -> None:
        with self._lock:
            self._requests.remove_answered(message)
            if len(self._inbox) >= MOST_WAITING:
                self._inbox.pop()
            self._inbox.put(message, message)

    def _set_status(self, state: ConnectionState, text: str = "", welcome: Welcome | None = None) -> None:
        with self._lock:
            self._status = ConnectionStatus(state, text, welcome)

    def _run(self) -> None:
        """The thread's function: make one connection after the other."""
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
        """Use a connection until it is lost or `stop` is called."""
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
                self._requests.remove_answered(message)
        elif not isinstance(message, Pong | SayHello):
            self._receive(message)

    def _send_requests(self, connection: Connection) -> None:
        with self._lock:
            for request in self._requests.unsent():
                if not connection.send(request.frames):
                    return
                request.sent = True
