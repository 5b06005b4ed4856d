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
from ..shared.bell import Bell
from ..shared.codec import ProtocolError, encode
from ..shared.mailbox import Mailbox
from ..shared.messages import Error, FromClient, FromServer, Order, Pong, SayHello, Taken, Welcome
from .connection import Keys, Line, LostError
from .pending_requests import Unanswered

__all__ = ["AddressError", "Client", "Connection"]

RETRY = {"unreachable": 0.5, "refused": 3.0}  # seconds until the next try
AT_ONCE = 100  # messages read before anything else is looked at, so that a flood cannot keep us from ending
MOST_WAITING = 10_000  # messages that Blender has not taken

State = Literal["connecting", "ready", "unreachable", "refused"]


@dataclass(frozen=True)
class Connection:
    """How things stand; `text` is a sentence for the panel that says what to do, "" when ready."""

    state: State
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
        self._inbox: Mailbox[FromServer] = Mailbox()
        self._requests = Unanswered()
        self._connection = Connection("connecting", f"Connecting to the backend at {self._address} …", None)
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="splatsmith-client", daemon=True)

    @property
    def connection(self) -> Connection:
        """How things stand now."""
        with self._lock:
            return self._connection

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
        self._bell.ring()

    def receive(self, limit: int = 100) -> list[FromServer]:
        """What has come, at most `limit` messages; of Progress, Preview, Splats and JobState of a job the newest."""
        with self._lock:
            return [self._inbox.pop() for _ in range(min(limit, len(self._inbox)))]

    def stop(self, timeout: float = 1.0) -> None:
        """End the connection, and the thread once the line has sent what it took; waits no longer than `timeout`."""
        self._stopping.set()
        self._bell.ring()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _receive(self, message: FromServer) -> None:
        with self._lock:
            self._requests.settle(message)
            if len(self._inbox) >= MOST_WAITING:
                self._inbox.pop()
            self._inbox.put(message, message)

    def _stands(self, state: State, text: str = "", welcome: Welcome | None = None) -> None:
        with self._lock:
            self._connection = Connection(state, text, welcome)

    def _run(self) -> None:
        """The thread: one connection after the other."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while not self._stopping.is_set():
                try:
                    self._keep(Line(context, self._address, self._keys))
                except LostError as lost:
                    self._stands(lost.state, lost.text)
                    self._stopping.wait(RETRY[lost.state])
        finally:
            context.destroy(linger=0)
            self._bell.close()

    def _keep(self, line: Line) -> None:
        """Use a connection until it is lost, or `stop`."""
        try:
            while not self._stopping.is_set():
                line.wait(self._bell)
                for _ in range(AT_ONCE):
                    if (message := line.receive()) is None:
                        break
                    self._take(line, message)
                line.keep_alive()
                self._judge(line)
        finally:
            line.close()

    def _judge(self, line: Line) -> None:
        if line.silent:
            self._stands("unreachable", f"The backend at {self._address} does not answer: it hangs, or is very busy.")
        elif line.welcome is not None:
            self._stands("ready", welcome=line.welcome)
            self._send_requests(line)

    def _take(self, line: Line, message: FromServer) -> None:
        if isinstance(message, Welcome):
            with self._lock:
                self._requests.again()
            self._stands("ready", welcome=message)
        elif isinstance(message, Error) and line.welcome is None:
            raise LostError("refused", message.text)
        if isinstance(message, Taken):
            with self._lock:
                self._requests.settle(message)
        elif not isinstance(message, Pong | SayHello):
            self._receive(message)

    def _send_requests(self, line: Line) -> None:
        with self._lock:
            for request in self._requests.unsent():
                if not line.send(request.frames):
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
