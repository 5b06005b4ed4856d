"""Whoever is not a client of ours, and whatever is not a server of ours."""

import http.server
import socket
import threading

import msgspec
import psutil
import pytest
import zmq
from serving import PATIENCE, Stranger, serving, until

from backend.cli.main import main
from blender_addon.net.client import AddressError, Client
from shared import messages as m
from shared.codec import MOST_HEADER, encode

HELLO = m.Hello(protocol=m.PROTOCOL_VERSION, version="1")


def fate(client, *states):
    """Start a client; how it stands once that is one of these."""
    client.start()
    try:
        return until(lambda: client.status.state in states and client.status)
    finally:
        client.stop()


def test_nothing_is_answered_before_hello(backend, context):
    stranger = Stranger(backend.port, context)
    stranger.sends(m.Ping(token=1))
    assert isinstance(stranger.hears(), m.SayHello)
    stranger.sends(HELLO)
    assert [type(stranger.hears()) for _ in range(3)] == [m.Welcome, m.Priors, m.Jobs]
    stranger.sends(m.Ping(token=2))
    assert stranger.hears().token == 2


MALFORMED = [
    [b""],
    [b"\xc1"],
    [b"GET / HTTP/1.1\r\n\r\n"],
    [b"\x00" * (MOST_HEADER + 1)],
    [b"\x91" * 100_000],
    [b"x"] * 5000,
    [*encode(m.Ping(token=1)), b"more"],
    encode(m.Pong(token=1)),
    [msgspec.msgpack.encode({"type": "Continue", "job": "a" * 32, "steps": 0})],
    [msgspec.msgpack.encode({"type": "Cancel", "job": "../.."})],
    [msgspec.msgpack.encode({"type": "Ping", "token": 1.5})],
]


def test_malformed_messages_are_answered_and_change_nothing(backend, context):
    stranger = Stranger(backend.port, context)
    for frames in MALFORMED[:3]:
        stranger.says(*frames)
        assert "same version" in stranger.hears().text
    stranger.sends(HELLO)
    *_, before = (stranger.hears() for _ in range(3))
    for frames in MALFORMED:
        stranger.says(*frames)
        assert isinstance(stranger.hears(), m.Error)
    stranger.sends(m.ListJobs())
    assert len(stranger.hears().jobs) == len(before.jobs)


def test_other_versions_get_an_error_that_names_what_to_update(backend, context):
    stranger = Stranger(backend.port, context)
    for protocol, who in ((m.PROTOCOL_VERSION + 1, "update the backend"), (0, "update the add-on")):
        stranger.sends(m.Hello(protocol=protocol, version="9.9"))
        assert who in stranger.hears().text
        stranger.sends(m.ListJobs())
        assert isinstance(stranger.hears(), m.SayHello)


def test_no_server_at_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status = fate(Client(str(port)), "unreachable")
    assert "start it" in status.text


def test_a_web_server_is_no_backend():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert "is no Splatsmith backend" in fate(Client(f"http://127.0.0.1:{server.server_port}/"), "refused").text
        server.shutdown()


@pytest.mark.parametrize("keys", [(), [key.decode() for key in zmq.curve_keypair()]])
def test_a_program_that_hangs_up_may_want_another_key(keys):
    """As a backend with the other mechanism does, where it has read the client's first and not yet sent its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = Client(str(listening.getsockname()[1]), *keys)
        client.start()
        stream, _ = listening.accept()
        stream.recv(10)
        stream.close()
        text = until(lambda: client.status.state == "refused" and client.status.text)
    client.stop()
    assert ("asks for a key" if not keys else "does not know this key") in text
    assert "paste the line" in text


@pytest.mark.parametrize("answer", [[b"\xc1"], encode(m.Error(text="The add-on is older: update the add-on."))])
def test_a_refusal_by_something_that_speaks_zeromq(context, answer):
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    client = Client(str(port))
    client.start()
    assert router.poll(1000 * PATIENCE)
    client_id, *_ = router.recv_multipart()
    router.send_multipart([client_id, *answer])
    status = until(lambda: client.status.state == "refused" and client.status)
    assert ("update the add-on" if len(answer[0]) > 1 else "is no Splatsmith backend") in status.text
    client.stop()


@pytest.mark.parametrize(
    ("address", "keys", "words"),
    [
        ("not an address", (), "write it like"),
        ("127.0.0.1:66666", (), "65535"),
        ("192.0.2.1", (), "give the key"),
        ("127.0.0.1", ("half a key",), "whole line"),
        ("127.0.0.1", ("x" * 39, "y" * 40), "whole line"),
    ],
)
def test_malformed_addresses_and_keys_are_refused(address, keys, words):
    with pytest.raises(AddressError, match=words):
        Client(address, *keys)


def test_other_machines_need_the_key(tmp_path):
    """The name of the loopback device stands for an address of another machine: keys are asked for."""
    device = next(name for name, found in psutil.net_if_addrs().items() if any(a.address == "127.0.0.1" for a in found))
    with serving(tmp_path, "--listen", f"{device}:0") as backend:
        server, _ = backend.key.split()
        address, (_, stranger) = f"127.0.0.1:{backend.port}", zmq.curve_keypair()
        other_server = zmq.curve_keypair()[0].decode()
        assert fate(Client(address, backend.key), "ready", "refused").state == "ready"
        assert "asks for a key" in fate(Client(address), "ready", "refused").text
        assert "does not know this key" in fate(Client(address, server, stranger.decode()), "ready", "refused").text
        wrong = Client(address, other_server, stranger.decode())
        assert "does not know this key" in fate(wrong, "ready", "refused").text
        assert (tmp_path / "keys/server/server.key_secret").stat().st_mode & 0o077 == 0


def test_a_key_for_a_server_without_keys(backend):
    keys = zmq.curve_keypair()[0].decode(), zmq.curve_keypair()[1].decode()
    assert fate(Client(backend.port, *keys), "ready", "refused").state == "refused"


def test_a_server_that_cannot_start_says_why(backend, tmp_path, capsys):
    assert main(["serve", "--port", backend.port, "--jobs", str(tmp_path)]) == 2
    assert "in use" in capsys.readouterr().err
    assert main(["serve", "--port", "0", "--jobs", str(backend.jobs)]) == 2
    assert "another server" in capsys.readouterr().err
    assert main(["serve", "--listen", "no such place", "--jobs", str(tmp_path)]) == 2
    assert "write it like" in capsys.readouterr().err
