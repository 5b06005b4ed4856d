"""The other end of a real socket: it answers Hello, hears everything, and says what a test tells it to."""

import queue
import threading
import time

import msgspec
import zmq

from blender_addon.shared.codec import decode_request, encode
from blender_addon.shared.messages import (
    PROTOCOL_VERSION,
    Hello,
    Jobs,
    ListJobs,
    Objective,
    Option,
    Order,
    Ping,
    Pong,
    Prior,
    Priors,
    Taken,
    Welcome,
)

STRENGTH = Option(name="strength", kind="float", default=7.5, description="How strongly it pulls", low=0, high=100)
OPTIONS = (
    STRENGTH,
    Option(name="rule", kind="choice", default="paper", description="Which rule", choices=("paper", "released")),
    Option(name="steps", kind="int", default=10, description="How many", low=1, high=50),
    Option(name="guided", kind="bool", default=False, description="With guidance"),
    Option(name="corrective", kind="text", default="", description="A file"),
)
MIX = Option(name="mix", kind="float", default=0.25, description="How much it mixes", low=0, high=1)
OBJECTS = Option(name="objects", kind="int", default=12, description="How many are drawn", low=0)
CATALOGUE = (MIX, OBJECTS)
BOLD = (Option(name="mix", kind="float", default=0.75, description="How much it mixes", low=0, high=1), OBJECTS)
WELCOME = Welcome(
    protocol=PROTOCOL_VERSION,
    version="9.8.7",
    objectives=(
        Objective(
            name="vdm", particles=True, title="VDM", description="Denoised", options=OPTIONS, catalogue=CATALOGUE
        ),
        Objective(
            name="new", title="Newest", description="An objective of tomorrow", options=(STRENGTH,), catalogue=BOLD
        ),
    ),
    qualities=("draft", "normal", "high"),
    devices=("cpu",),
)
EMBEDDED = Prior(name="embedded", title="embedded", kit=True)
OAK = Prior(name="/kits/oak", title="Oak chairs", description="40 objects, in /kits/oak", kit=True)
MODEL = Prior(name="some/model", title="some/model")


class Peer:
    """A ROUTER on a port of this computer, in a thread of its own."""

    def __init__(self, kits=""):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 60_000  # with little, libzmq may abort where the add-on leaves too (zeromq/libzmq#3442)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.jobs, self.priors = (), Priors(priors=(EMBEDDED, OAK, MODEL))
        self.welcome = msgspec.structs.replace(WELCOME, kits=kits)
        self.heard, self._outbox, self._open = [], queue.SimpleQueue(), True
        self._clients = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, *messages):
        """Send to everybody who has said Hello."""
        for message in messages:
            self._outbox.put(message)

    @property
    def waiting(self):
        """How many messages are still to be sent."""
        return self._outbox.qsize()

    def heard_of(self, kind):
        return [message for message in list(self.heard) if isinstance(message, kind)]

    def close(self):
        self._open = False
        self._thread.join()
        self.socket.close()

    def _run(self):
        while self._open:
            if self.socket.poll(2):
                client, *frames = self.socket.recv_multipart()
                self._answer(client, decode_request(frames))
            while not self._outbox.empty():
                self._send(*self._clients, message=self._outbox.get())

    def _answer(self, client, message):
        match message:
            case Hello():
                self._clients.add(client)
                self._send(client, message=self.welcome)
                self._send(client, message=self.priors)
                self._send(client, message=Jobs(jobs=self.jobs))
            case Ping():
                self._send(client, message=Pong(token=message.token))
            case ListJobs():
                self._send(client, message=Jobs(jobs=self.jobs))
            case _:
                self.heard.append(message)
                if isinstance(message, Order):
                    self._send(client, message=Taken(order=message.id))

    def _send(self, *clients, message):
        for client in clients:
            self.socket.send_multipart([client, *encode(message)])


def until(condition, seconds=20.0, between=lambda: time.sleep(0.005)):
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        between()
    return condition()
