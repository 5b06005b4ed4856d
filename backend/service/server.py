"""The server: one thread with one ROUTER socket, and the state of each connected client.

A client sends Hello first.  One that is silent for long is forgotten, and asked for a Hello when it sends again.
Messages that a client cannot take yet wait in its outbox, so that a slow client delays neither others nor jobs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

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
    Progress,
    SayHello,
    Splats,
    Watch,
    Welcome,
)

KITS_INTERVAL = 2.0  # seconds between checks of the folder of kits
SILENCE = 60.0  # seconds until a silent client is forgotten; Blender may be busy for long
AT_ONCE = 100  # messages read in one go
IDLE, RETRY = 1000, 5  # milliseconds: the longest wait for events, and the pause before a full pipe is tried again

PROGRESS_INTERVAL = 1.0  # seconds between news of a job's steps to clients that do not watch it
MOST_SHOWN = 4  # running jobs whose pictures and splats a client gets at a time
MOST_WAITING = 1000  # messages in an outbox; a client with more is forgotten

Frames = list[Frame]
log = logging.getLogger(__name__)


@dataclass
class ConnectedClient:
    """A client, when it last sent something, and whether it has sent Hello."""

    last_heard: float
    greeted: bool = False
    watched: tuple[str, ...] = ()
    outbox: MessageQueue[Frames] = field(default_factory=MessageQueue)


class Server:
    """Serves on a bound ROUTER socket (see `router`) until `stop` is called."""

    def __init__(
        self, socket: zmq.Socket[bytes], jobs: Jobs, executor: Executor, offers: Welcome, priors: AvailablePriors
    ) -> None:
        self.socket, self.offers, self.priors = socket, offers, priors
        self.dispatcher = Dispatcher(jobs, executor, self)
        self.clients: dict[bytes, ConnectedClient] = {}
        self._told: dict[str, float] = {}  # when the clients that do not watch a job last heard of its steps
        self._kits_checked = time.monotonic()
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
                self._check_kits()
                self._flush()
                self._forget_silent()
                waiting = any(len(client.outbox) for client in self.clients.values())
                self._poller.poll(RETRY if waiting else IDLE)
        finally:
            self.dispatcher.close()

    def stop(self) -> None:
        """Make `run` return soon; safe in a signal handler."""
        self._stopping = True
        self.dispatcher.waker.wake()

    def to(self, address: bytes, message: FromServer) -> None:
        """Send to one client, if it is still connected."""
        if address in self.clients:
            self.clients[address].outbox.put(*_encoded(message))

    def to_all(self, message: FromServer) -> None:
        """Send to every client."""
        sent, frames = _encoded(message)
        for client in self.clients.values():
            if client.greeted:
                client.outbox.put(sent, frames)

    def to_watchers(self, message: Preview | Splats) -> None:
        """Send to the clients that watch the job."""
        sent, frames = _encoded(message)
        for client in self.clients.values():
            if self._shows(client, message.job):
                client.outbox.put(sent, frames)

    def progress(self, message: Progress) -> None:
        """Send to the clients that watch the job; to the others once in PROGRESS_INTERVAL."""
        now = time.monotonic()
        self._told = {job: at for job, at in self._told.items() if now - at < PROGRESS_INTERVAL}
        due = self._told.setdefault(message.job, now) == now
        sent, frames = _encoded(message)
        for client in self.clients.values():
            if client.greeted and (due or message.job in client.watched):
                client.outbox.put(sent, frames)

    def watched(self, job: str) -> bool:
        """Whether a client gets pictures and splats of the job."""
        return any(self._shows(client, job) for client in self.clients.values())

    def _shows(self, client: ConnectedClient, job: str) -> bool:
        """Whether a client gets pictures and splats of a job: of MOST_SHOWN that run, the first of those it watches."""
        return job in client.watched and job in first_running(client.watched, self.dispatcher.runs)

    def _listen(self) -> None:
        """Answer the messages that have come, up to a limit, so that a flood does not delay everything else."""
        for _ in range(AT_ONCE):
            try:
                address, *frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._answer(address.bytes, [frame.buffer for frame in frames])

    def _answer(self, address: bytes, frames: list[Frame]) -> None:
        client = self.clients.setdefault(address, ConnectedClient(0.0))
        client.last_heard = time.monotonic()
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
                client.watched = tuple(dict.fromkeys(request.jobs))
            self.dispatcher.answer(address, request)

    def _greet(self, address: bytes, client: ConnectedClient, hello: Hello) -> None:
        if hello.protocol == PROTOCOL_VERSION:
            client.greeted = True
            self.to(address, self.offers)
            self.to(address, self.priors.offers)
            if self.dispatcher.trouble.text:
                self.to(address, self.dispatcher.trouble)
            self.dispatcher.answer(address, ListJobs())  # every client needs the list first
            return
        older, newer = f"add-on ({hello.version:.20})", f"backend ({VERSION})"
        if hello.protocol > PROTOCOL_VERSION:
            older, newer = newer, older
        text = f"The {older} is older than the {newer} and cannot talk to it: update the {older}."
        self.to(address, Error(text=text))

    def _check_kits(self) -> None:
        """Send all clients the new offers when kits were added, changed or removed."""
        if time.monotonic() - self._kits_checked > KITS_INTERVAL:
            if self.priors.refresh():
                self.to_all(self.priors.offers)
            self._kits_checked = time.monotonic()

    def _flush(self) -> None:
        """Send each client what it can take; forget clients that are gone."""
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
        for address in [address for address, client in self.clients.items() if now - client.last_heard > SILENCE]:
            del self.clients[address]


def first_running(jobs: Iterable[str], runs: Callable[[str], bool], most: int = MOST_SHOWN) -> list[str]:
    """Those of the jobs that run, the first `most` of them."""
    return list(islice(filter(runs, jobs), most))


def _encoded(message: FromServer) -> tuple[FromServer, Frames]:
    """A message and its frames; an Error in place of one that cannot be encoded, as no message may end the server."""
    try:
        return message, encode(message)
    except ProtocolError as error:
        log.exception("a %s cannot be sent", type(message).__name__)
        text = f"Part of the backend's answer cannot be sent ({error}); look for it in the job's folder."
        answer = Error(text=text, job=getattr(message, "job", None))
        return answer, encode(answer)


def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A ROUTER socket with small queues and message limits, and errors for clients that are gone."""
    socket = context.socket(zmq.ROUTER)
    socket.linger = 2000  # shorter, libzmq 4.3.5 may abort when a client leaves at the same time (zeromq/libzmq#3442)
    socket.maxmsgsize = MOST_BYTES
    socket.sndhwm, socket.rcvhwm = 2, 16
    socket.router_mandatory = True
    socket.handshake_ivl = 3000
    # Detects clients whose machine is gone.  ZeroMQ's own heartbeat would also drop those that only read slowly.
    socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, 30
    return socket
