"""The server: one thread, one ROUTER socket that nobody else touches, and the clients behind it.

A client says Hello before anything else; who is silent for long is forgotten, and asked for a Hello when it speaks
again.  What a client cannot take yet waits in its outbox, so that no client makes another, or a job, wait.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import zmq

from backend.service.available_priors import AvailablePriors
from backend.service.dispatcher import Dispatcher
from backend.service.executors import Executor
from backend.service.jobs import Jobs
from shared import VERSION
from shared.codec import MOST_BYTES, Frame, ProtocolError, decode_request, encode
from shared.message_queue import MessageQueue
from shared.messages import (
    PROTOCOL_VERSION,
    Error,
    FromServer,
    Hello,
    ListJobs,
    Ping,
    Pong,
    Preview,
    SayHello,
    Splats,
    Watch,
    Welcome,
)

LOOK_AT_KITS = 2.0  # seconds from one look at the folder of kits to the next
SILENCE = 60.0  # seconds until a client that says nothing is forgotten; Blender may be busy for long
AT_ONCE = 100  # messages read before anything else is looked at
IDLE, RETRY = 1000, 5  # milliseconds: between looks at the clock, and until a full pipe is tried again

MOST_WAITING = 1000  # messages in an outbox; a client that leaves more is forgotten

Frames = list[Frame]
log = logging.getLogger(__name__)


@dataclass
class ConnectedClient:
    """A client, and whether it has said Hello."""

    heard: float
    greeted: bool = False
    watched: frozenset[str] = frozenset()
    outbox: MessageQueue[Frames] = field(default_factory=MessageQueue)


class Server:
    """Serves on a bound ROUTER socket (see `router`) until it is told to stop."""

    def __init__(
        self, socket: zmq.Socket[bytes], jobs: Jobs, executor: Executor, offers: Welcome, priors: AvailablePriors
    ) -> None:
        self.socket, self.offers, self.priors = socket, offers, priors
        self.dispatcher = Dispatcher(jobs, executor, self)
        self.clients: dict[bytes, ConnectedClient] = {}
        self._looked = time.monotonic()
        self._stopping = False
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        for waker in (executor, self.dispatcher.waker):
            self._poller.register(waker.fileno(), zmq.POLLIN)

    def run(self) -> None:
        """Serve until `stop` is called."""
        try:
            while not self._stopping:
                self._listen()
                self.dispatcher.advance()
                self._look_at_kits()
                self._flush()
                self._forget_silent()
                waiting = any(len(client.outbox) for client in self.clients.values())
                self._poller.poll(RETRY if waiting else IDLE)
        finally:
            self.dispatcher.close()

    def stop(self) -> None:
        """End `run` soon; a signal handler may call it."""
        self._stopping = True
        self.dispatcher.waker.wake()

    def to(self, address: bytes, message: FromServer) -> None:
        """Send to one client; to nobody where it is gone."""
        if address in self.clients:
            self.clients[address].outbox.put(*_packed(message))

    def to_all(self, message: FromServer) -> None:
        """Send to every client."""
        told, frames = _packed(message)
        for client in self.clients.values():
            if client.greeted:
                client.outbox.put(told, frames)

    def to_watchers(self, message: Preview | Splats) -> None:
        """Send to the clients that watch the job."""
        told, frames = _packed(message)
        for client in self.clients.values():
            if message.job in client.watched:
                client.outbox.put(told, frames)

    def _listen(self) -> None:
        """Answer what has come, up to a number, so that a flood does not hold up the rest."""
        for _ in range(AT_ONCE):
            try:
                address, *frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._answer(address.bytes, [frame.buffer for frame in frames])

    def _answer(self, address: bytes, frames: list[Frame]) -> None:
        client = self.clients.setdefault(address, ConnectedClient(0.0))
        client.heard = time.monotonic()
        try:
            request = decode_request(frames)
        except ProtocolError as error:
            advice = "" if client.greeted else " Are the add-on and the backend of the same version?"
            self.to(address, Error(text=f"The backend cannot read this message.{advice}", detail=str(error)))
            return
        if isinstance(request, Hello):
            self._greet(address, client, request)
        elif not client.greeted:
            self.to(address, SayHello())
        elif isinstance(request, Ping):
            self.to(address, Pong(token=request.token))
        else:
            if isinstance(request, Watch):
                client.watched = frozenset(request.jobs)
            self.dispatcher.answer(address, request)

    def _greet(self, address: bytes, client: ConnectedClient, hello: Hello) -> None:
        if hello.protocol == PROTOCOL_VERSION:
            client.greeted = True
            self.to(address, self.offers)
            self.to(address, self.priors.offers)
            if self.dispatcher.trouble.text:
                self.to(address, self.dispatcher.trouble)
            self.dispatcher.answer(address, ListJobs())  # unasked: every client wants them first
            return
        older, newer = f"add-on ({hello.version:.20})", f"backend ({VERSION})"
        if hello.protocol > PROTOCOL_VERSION:
            older, newer = newer, older
        text = f"The {older} is older than the {newer}, and they do not speak: update the {older}."
        self.to(address, Error(text=text))

    def _look_at_kits(self) -> None:
        """Tell everybody of kits that have come, changed or gone."""
        if time.monotonic() - self._looked > LOOK_AT_KITS:
            if self.priors.look():
                self.to_all(self.priors.offers)
            self._looked = time.monotonic()

    def _flush(self) -> None:
        """Send what every client can take; forget those that are gone."""
        for address, client in list(self.clients.items()):
            try:
                while client.outbox:
                    self.socket.send_multipart([address, *client.outbox.first()], zmq.NOBLOCK, copy=False)
                    client.outbox.pop()
            except zmq.Again:
                if len(client.outbox) > MOST_WAITING:
                    del self.clients[address]
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                del self.clients[address]

    def _forget_silent(self) -> None:
        now = time.monotonic()
        for address in [address for address, client in self.clients.items() if now - client.heard > SILENCE]:
            del self.clients[address]


def _packed(message: FromServer) -> tuple[FromServer, Frames]:
    """A message and its frames; an Error in the place of one that cannot travel, for no message may end the server."""
    try:
        return message, encode(message)
    except ProtocolError as error:
        log.exception("a %s cannot be sent", type(message).__name__)
        text = f"A part of the backend's answer cannot be sent ({error}): it is in the backend's folder all the same."
        told = Error(text=text, job=getattr(message, "job", None))
        return told, encode(told)


def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A ROUTER socket with the limits of the house: small queues, and errors for clients that are gone."""
    socket = context.socket(zmq.ROUTER)
    socket.linger = 2000  # with little, libzmq 4.3.5 may abort where a client leaves too (zeromq/libzmq#3442)
    socket.maxmsgsize = MOST_BYTES
    socket.sndhwm, socket.rcvhwm = 2, 16
    socket.router_mandatory = True
    socket.handshake_ivl = 3000
    # Lets go of clients whose machine is gone.  ZeroMQ's own heartbeat would also drop those that only read slowly.
    socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, 30
    return socket
