"""Starting and stopping a backend as real processes: a small program stands in the backend's folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.net.launcher import BackendProcess, LauncherError, backend_command, port_answers
from shared.address import Address, parse_address

ROOT = Path(__file__).parents[2]
SERVES = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
print("serving", sys.argv[1:], child.pid, flush=True)
time.sleep(60)
"""
ENDS = "import sys; print('no model here', file=sys.stderr); sys.exit(3)"
posix = pytest.mark.skipif(os.name == "nt", reason="process groups")


@pytest.fixture
def folder(tmp_path):
    """A repository whose backend is a program with a worker that does not end when asked."""
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text(SERVES)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return tmp_path


@pytest.fixture
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address(*probe.getsockname())


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def child_of(log):
    """The worker's process, from the log of SERVES."""
    assert until(lambda: log.exists() and b"serving" in log.read_bytes())
    return int(log.read_text().split()[-1])


@posix
@pytest.mark.parametrize("online", [True, False])
def test_without_online_access_it_downloads_nothing(folder, address, online, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (folder / "backend" / "__main__.py").write_text("import os; print(os.environ.get('HF_HUB_OFFLINE'))")
    backend = BackendProcess(folder, folder / "log", address, online)
    assert until(lambda: backend.state == "ended")
    assert backend.tail() == ["None" if online else "1"]


@posix
def test_a_backend_runs_with_its_log_and_stops_with_all_its_processes(folder, address):
    backend = BackendProcess(folder, folder / "log", address)
    worker = child_of(folder / "log")
    assert backend.state == "running"
    assert backend.tail() == [f"serving ['serve', '--port', '{address.port}'] {worker}"]
    began = time.monotonic()
    backend.stop()
    assert time.monotonic() - began < 5
    assert backend.state in ("stopping", "ended")
    assert until(lambda: backend.state == "ended")
    assert not alive(worker)
    backend.stop()  # once more does no harm


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_blender_is_killed(folder, address, how):
    program = f"""
import sys, time
from pathlib import Path
from blender_addon.net.launcher import BackendProcess
from blender_addon.shared.address import parse_address
backend = BackendProcess(Path({str(folder)!r}), Path({str(folder / "log")!r}), parse_address("{address}"))
time.sleep(60)
"""
    blender = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    worker = child_of(folder / "log")
    assert alive(worker)
    blender.send_signal(how)
    blender.wait()
    assert until(lambda: not alive(worker))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_nothing_serves_on_when_the_guard_alone_is_killed(folder, address):
    backend = BackendProcess(folder, folder / "log", address)
    worker = child_of(folder / "log")
    server = int(Path(f"/proc/{worker}/stat").read_text().rsplit(") ", 1)[1].split()[1])
    assert alive(server)
    backend._process.kill()
    assert until(lambda: backend.state == "ended")
    assert until(lambda: not alive(server))
    os.kill(worker, signal.SIGKILL)  # this one is deaf; the real ones end with the pipe to their server


def test_a_backend_that_ends_leaves_its_code_and_its_last_words(folder, address):
    (folder / "backend" / "__main__.py").write_text(ENDS)
    backend = BackendProcess(folder, folder / "log", address)
    assert until(lambda: backend.state == "ended")
    assert (backend.exit_code, backend.tail()) == (3, ["no model here"])


def test_a_taken_port_is_said_before_anything_starts(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Address(*other.getsockname())
        assert port_answers(taken)
        with pytest.raises(LauncherError, match=f"Port {taken.port} is taken"):
            BackendProcess(folder, folder / "log", taken)
    with pytest.raises(LauncherError, match="render-box is another computer"):
        BackendProcess(folder, folder / "log", parse_address("render-box"))
    assert not (folder / "log").exists()


def test_a_folder_without_a_backend_and_a_python_that_is_none(folder, tmp_path, address):
    with pytest.raises(LauncherError, match="There is no backend in"):
        backend_command(tmp_path / "elsewhere", address.port)
    python = folder / ".venv" / "bin" / "python"
    python.unlink()
    assert backend_command(folder, address.port)[1:] == [str(folder / "build.py"), "serve", "--port", str(address.port)]
    python.write_text("no program")
    with pytest.raises(LauncherError, match="cannot be started"):
        BackendProcess(folder, folder / "log", address)


def test_blenders_own_settings_of_python_do_not_reach_the_backend(folder, address, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/blender")
    (folder / "backend" / "__main__.py").write_text("import os; print(os.environ.get('PYTHONPATH'))")
    backend = BackendProcess(folder, folder / "log", address)
    assert until(lambda: backend.state == "ended")
    assert backend.tail() == ["None"]
