"""The client on an idle line: it wakes seldom, and still knows whether the backend is there."""

import threading
import time

import pytest
import zmq
from goodbyes import WELCOME

from blender_addon.net.client import Client
from shared.codec import decode_request, encode
from shared.messages import Hello, Ping, Pong

PATIENCE = 60.0  # seconds; the machine may be busy


class Backend(threading.Thread):
    """Says Welcome and Pong, and nothing while `hangs`."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.hangs, self.pings, self.open = False, 0, True

    def run(self):
        while self.open:
            if not self.hangs and self.socket.poll(5):
                client, *frames = self.socket.recv_multipart()
                match decode_request(frames):
                    case Hello():
                        self.socket.send_multipart([client, *encode(WELCOME)])
                    case Ping(token=token):
                        self.pings += 1
                        self.socket.send_multipart([client, *encode(Pong(token=token))])
            time.sleep(0.005)
        self.socket.close()


@pytest.fixture
def backend():
    backend = Backend()
    backend.start()
    yield backend
    backend.open = False
    backend.join()


@pytest.fixture
def states(backend):
    """Every state of the connection, as it comes; "connecting" may be over before anybody looks."""
    client, seen = Client(str(backend.port)), ["connecting"]
    client.start()

    def comes(state, also=lambda: True):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not seen or seen[-1] != client.status.state:
                seen.append(client.status.state)
            if seen[-1] == state and also():
                return seen
            time.sleep(0.01)
        raise AssertionError(seen)

    yield comes
    client.stop()


def test_a_backend_that_hangs_is_seen_and_one_that_is_idle_is_not(backend, states):
    assert states("ready", lambda: backend.pings == 3) == ["connecting", "ready"]
    backend.hangs = True
    states("unreachable")
    backend.hangs = False
    assert states("ready") == ["connecting", "ready", "unreachable", "ready"]
