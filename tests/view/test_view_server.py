"""The jobs of a real server in a browser: its list, live splats, and what happens while the server is away."""

import http.server
import socket
import threading
from contextlib import ExitStack

import pytest
from serving import Person, serving
from viewing import opened, viewing

from backend.cli.main import main
from backend.view import connection
from blender_addon.shared import messages as m


def test_jobs_are_listed_and_shown_live_also_after_the_server_was_away(tmp_path, capsys, monkeypatch):
    with serving(tmp_path / "jobs", "--listen", "0.0.0.0:0") as server, ExitStack() as stack:  # with a key
        place, key = f"127.0.0.1:{server.port}", tmp_path / "key.txt"
        key.write_text(server.key)
        person = Person(server)
        job = person.generates(5000, prompt="a red apple", seed=7)
        person.waits(m.Progress, job)
        page = stack.enter_context(opened(stack.enter_context(viewing(f"tcp://{place}", "--key", key))))
        page.hears("a red apple, seed 7", "running")
        page.sets("Show")
        page.splats(400)
        assert any("a red apple, seed 7" in str(one) for one in page.messages if one["type"] == "LabelMessage")
        page.hears("data:image/webp")  # its thumbnail
        monkeypatch.setattr(connection, "PROTOCOL_VERSION", 99)
        said = _refusal(f"tcp://{place}", capsys, "--key", str(key))
        assert f"The server at {place} is of another version (The backend" in said
        server.process.kill()
        page.hears(f"The server at {place} does not answer")
        page.forget()
        server.process.wait()
        with serving(tmp_path / "jobs", "--listen", f"0.0.0.0:{server.port}"):
            page.hears("1 jobs: 1 running")
            page.splats(400)
            person.asks(m.Cancel(job=job))
            person.waits(m.JobState, job, state="stopped")
            person.asks(m.Forget(job=job))
            page.hears("This server has no jobs.")
            assert _refusal(f"tcp://{place}", capsys) == connection.NO_SERVER.format(place)
            person.client.stop()
            stack.close()
        server.end = lambda: None


def test_where_no_server_is_there_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(connection, "FIRST_PATIENCE", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert _refusal(f"tcp://127.0.0.1:{port}", capsys) == connection.NOBODY.format(f"127.0.0.1:{port}")


def test_another_program_is_one_sentence(capsys):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{other.server_port}"
        said = _refusal(f"tcp://{place}", capsys)
        other.shutdown()
    assert said in (connection.NO_SERVER.format(place), connection.NOBODY.format(place))


@pytest.mark.parametrize("key", ["one", "one two", "a" * 40 + " " + "b" * 39])
def test_half_a_key_is_one_sentence(capsys, key):
    said = _refusal("tcp://127.0.0.1:47800", capsys, "--key", key)
    assert said == "view --key: The key is not whole: give the whole line that `serve --listen` printed."


def _refusal(place, capsys, *options):
    """The sentence that the program ends with."""
    capsys.readouterr()
    assert main(["view", place, "--no-browser", *options]) == 2
    *notes, said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("127.0.0.1 - -")]
    assert not notes
    return said
