"""`python -m backend kit` as a process: what it prints, how it ends, what a kill leaves."""

import json
import resource
import signal
import subprocess
import sys

import pytest

from backend.priors.kit import Kit
from tests.kits.conftest import write_box


@pytest.fixture
def command(tmp_path):
    for number in range(3):
        write_box(tmp_path / f"box{number}.ply", (200, 60 * number, 0), (1, 1, 1 + number))
    files = [str(tmp_path / f"box{number}.ply") for number in range(3)]
    return [sys.executable, "-m", "backend", "kit", *files, "--out", str(tmp_path / "kit"), "--device", "cpu"]


def test_a_program_reads_lines_and_can_stop_and_continue_it(command, tmp_path):
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in process.stdout]
    assert first == {"event": "object", "done": 1, "of": 3, "name": "Box", "kept": False}
    assert process.returncode == 130
    assert rest[-1] == {"event": "stopped"}
    done = len(Kit(tmp_path / "kit"))
    assert done == len(rest)
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [line.get("kept") for line in lines] == [True] * done + [False] * (3 - done) + [None]
    assert lines[-1] == {"event": "done", "name": "kit", "objects": 3, "folder": str(tmp_path / "kit")}


def test_a_killed_process_leaves_a_kit_that_can_be_continued(command, tmp_path):
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.kill()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3 objects" in again.stderr
    assert again.stdout == ""
    assert len(Kit(tmp_path / "kit")) == 3


def test_a_full_disk_is_one_sentence(command, tmp_path):
    """No file may grow beyond 10 KB: an atlas does not fit, the index does."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # noqa: E731
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "cannot be written (File too large)" in ended.stderr.splitlines()[-1]
    assert [file.name for file in (tmp_path / "kit").iterdir()] == ["kit.json"]
