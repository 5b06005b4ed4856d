"""`python -m backend models` as a process: what it prints, how it ends, how it is stopped, and what is kept."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.conftest import MODEL
from tests.models.socks_proxy import SocksProxy
from tests.models.test_download import UNET
from tests.models.weights import save

ROOT = Path(__file__).parents[2]


def command(*arguments):
    return [sys.executable, "-m", "backend", "models", *arguments]


def run(environment, *arguments):
    return subprocess.run(
        command(*arguments), env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def lines(ended):
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_program_lists_downloads_and_lists_again(environment, loopback, tmp_path):
    (before,) = lines(run(environment, "--json"))
    assert before["models"] == []
    assert before["cache"] == str(tmp_path / "hf" / "hub")
    ended = run(environment, "download", MODEL, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    *progress, done = lines(ended)
    assert {line["event"] for line in progress} == {"progress"}
    assert set(progress[0]) == {"event", "bytes", "total", "speed", "left"}
    assert progress[-1]["bytes"] == progress[-1]["total"] > 100_000
    assert done["event"] == "done"
    assert (Path(done["folder"]) / UNET).is_file()
    (after,) = lines(run(environment, "--json"))
    assert [(model["name"], model["whole"], model["licence"]) for model in after["models"]] == [
        (MODEL, True, "openrail++")
    ]
    asked = len(loopback.log)
    again = run(environment, "download", f"{loopback.endpoint}/{MODEL}", "--json")  # as pasted from the browser
    assert [line["event"] for line in lines(again)] == ["done"]
    assert len(loopback.log) == asked


def test_it_is_stopped_and_goes_on(environment, loopback):
    loopback.pause = 0.05
    first = [json.loads(line) for line in stopped(environment, signal.SIGTERM)]
    assert first[-1] == {"event": "stopped"}
    loopback.pause = 0
    *progress, done = lines(run(environment, "download", MODEL, "--json"))
    assert done["event"] == "done"
    assert [name for name in loopback.asked() if any(loopback.ranges(name))]  # some file went on in its middle
    assert progress[-1]["bytes"] == progress[-1]["total"]


def test_it_is_killed_and_goes_on(environment, loopback):
    loopback.pause = 0.05
    assert not [line for line in stopped(environment, signal.SIGKILL) if "stopped" in line]
    loopback.pause = 0
    assert lines(run(environment, "download", MODEL, "--json"))[-1]["event"] == "done"
    assert [name for name in loopback.asked() if any(loopback.ranges(name))]


def stopped(environment, number):
    """The lines of a download that gets a signal in the middle of it."""
    arguments = command("download", MODEL, "--json")
    with subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if json.loads(line).get("bytes", 0) > 30_000 and process.poll() is None:
                process.send_signal(number)
                break
        seen += list(process.stdout)
    assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
    return seen


def test_a_hub_that_hangs_does_not_keep_it_from_stopping(environment, loopback):
    loopback.hang = True
    arguments = command("download", MODEL, "--json")
    with subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["total"] == 0
        process.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in process.stdout]
    assert rest[-1] == {"event": "stopped"}
    assert process.returncode == 130


def test_failures_are_a_sentence(environment, loopback):
    ended = run(environment, "download", "stabilityai/stable-difusion-xl-base-1.0", "--json")
    assert ended.returncode == 2
    assert lines(ended)[-1]["event"] == "failed"
    assert "did you mean stabilityai/stable-diffusion-xl-base-1.0" in lines(ended)[-1]["text"]
    ended = run(environment | {"HF_HUB_OFFLINE": "1"}, "download", MODEL)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "HF_HUB_OFFLINE says to stay offline" in ended.stderr.splitlines()[-1]
    assert loopback.asked() == []


def test_in_a_log_it_prints_plain_lines_now_and_then(environment, loopback):
    loopback.pause = 0.05
    ended = run(environment, "download", MODEL)
    first, last = ended.stderr.splitlines()  # it takes no ten seconds
    assert re.fullmatch(rf"{MODEL}: [\d.]+ MB of [\d.]+ MB, [\d.]+ MB/s, .+", first)
    assert last == f"{MODEL} is here: use it with --prior {MODEL}"


def test_through_a_socks_proxy(environment, loopback):
    pytest.importorskip("socksio", reason="SOCKS needs the package socksio")
    with SocksProxy() as proxy:
        # The address of loopback is one that the proxy alone reaches: no_proxy must not apply.
        ended = run(environment | {"ALL_PROXY": proxy.address, "NO_PROXY": ""}, "download", MODEL, "--json")
    assert lines(ended)[-1]["event"] == "done", ended
    assert proxy.connections > 0
    assert proxy.targets == {("127.0.0.1", loopback.server.server_port)}


def test_proxies_that_do_not_work_are_a_sentence(environment):
    for address in ("socks5://127.0.0.1:9", "http://127.0.0.1:9", "gopher://127.0.0.1:9"):
        ended = run(environment | {"ALL_PROXY": address}, "download", MODEL)
        assert ended.returncode == 2, ended
        assert "Traceback" not in ended.stderr
        last = ended.stderr.splitlines()[-1]
        assert address in last
        assert "correct ALL_PROXY and HTTPS_PROXY" in last


def test_tables_for_people(environment, tmp_path):
    file = save(tmp_path / "own" / "a checkpoint.safetensors", "SDXL")
    ended = run(environment, "add", str(tmp_path / "own"))
    assert ended.returncode == 0
    for text in ("a checkpoint.safetensors", "SDXL", "stable-diffusion-v1-5/stable-diffusion-v1-5", "6.9 GB"):
        assert text in ended.stdout
    assert "models download" in ended.stderr
    assert lines(run(environment, "--json"))[0]["models"][0]["name"] == str(file)
    (tmp_path / "empty").mkdir()
    assert "has no models yet" in run(environment, "add", str(tmp_path / "empty")).stderr
    (after,) = lines(run(environment, "remove", str(tmp_path / "own"), "--json"))
    assert after["models"] == []
    again = run(environment, "remove", str(tmp_path / "own"))
    assert again.returncode == 2
    assert "was not added" in again.stderr
