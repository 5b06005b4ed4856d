"""What goes wrong on the command line: real processes, one sentence each, and commands that can be pasted."""

import ast
import errno
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.cli.main import main
from backend.errors import sentence_of
from backend.terminal import pasteable, skipped
from tests.small import MESH

ROOT = Path(__file__).parents[1]
ODD = "[bold] it's [/x] :gear: $HOME"
QUICK = {"views": 1, "splats": {"growth": "none"}, "mesh": MESH, "stages": [{"side": 32}], "checkpoint_every": 1}


@pytest.fixture
def quick(tmp_path):
    (tmp_path / "quick.json").write_text(json.dumps({"prompt": "a red cup", "objective": "sds", "recipe": QUICK}))
    return tmp_path / "quick.json"


def started(*arguments, **options):
    command = [sys.executable, "-m", "backend", "generate", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def interrupted(process, file):
    while not file.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=300)[1]


def test_what_is_printed_can_be_pasted_into_a_shell(tmp_path, quick):
    """A folder with brackets, quotes, spaces, a colon code and a dollar: whole in the message, on one line."""
    out = tmp_path / ODD
    process = started("--job", quick, "--steps", 100_000, "--out", out)
    error = interrupted(process, out / "checkpoint.safetensors")
    assert process.returncode == 130
    (line,) = [line for line in error.splitlines() if "Continue with: " in line]
    command = line.partition("Continue with: ")[2]
    assert shlex.split(command)[-2:] == ["--continue", str(out)]
    job = json.loads((out / "job.json").read_text())
    job["recipe"]["steps"] = 2  # so that it is at its end
    (out / "job.json").write_text(json.dumps(job))
    again = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"s: {out}" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (r"C:\out\apple", r"C:\out\apple"),
        (r"C:\My Files\a & b", r'"C:\My Files\a & b"'),
        (r"C:\a&b", r'"C:\a&b"'),
        (r"C:\it's (1)", '"C:\\it\'s (1)"'),
        ("C:\\a b\\", '"C:\\a b\\\\"'),
    ],
)
def test_commands_can_be_pasted_on_windows(path, given):
    assert pasteable(["--continue", path], windows=True) == f"--continue {given}"


def test_messages_are_not_read_as_markup(capsys):
    for text in ("a/[bold]/b", "x[/y]", "[red]", ":warning:", "x" * 300):
        skipped(text)
        assert capsys.readouterr().err == f"Skipped: {text}\n"


TABLES = ("terminal.py", "models/command.py", "studies/bench/report.py")


def test_all_commands_print_through_terminal():
    """No console with markup of its own, except for tables."""
    for file in (ROOT / "backend").rglob("*.py"):
        names = {alias.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)
                 and node.module == "rich.console" for alias in node.names}  # fmt: skip
        assert not names or file.relative_to(ROOT / "backend").as_posix() in TABLES


def test_ctrl_c_while_the_results_are_made_stops_and_the_rest_can_be_made(tmp_path, quick):
    out = tmp_path / "out"
    process = started("--job", quick, "--steps", 2, "--out", out)
    error = interrupted(process, out / "turntable.png")
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "Make the other results with: " in error
    assert (out / "splats.ply").exists()
    assert not (out / "metrics.json").exists()
    assert main(["generate", "--continue", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 2


def test_a_second_ctrl_c_stops_at_once_without_a_traceback(tmp_path, quick):
    process = started("--job", quick, "--steps", 100_000, "--out", tmp_path / "out")
    while not (tmp_path / "out" / "checkpoint.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (["--quality", "high"], "--quality"),
        (["--prompt", "a cup", "--seed", "0"], "--prompt, --seed"),
        (["--keep-shape", "0"], "--keep-shape"),
        (["--mix", "0", "--overwrite", "--out", "x"], "--mix, --out, --overwrite"),
    ],
)
def test_options_that_continue_cannot_use_are_refused(tmp_path, given, flags, capsys):
    assert main(["generate", "--continue", str(tmp_path), *given]) == 2
    assert f"cannot be used with {flags};" in capsys.readouterr().err


def run_within(folder, gib):
    """A process that may have so much memory; with 64 pictures of 1024 px a step needs some ten GiB."""
    recipe = {**QUICK, "views": 64, "stages": [{"side": 1024}], "steps": 1}
    (folder / "large.json").write_text(json.dumps({"prompt": "a red cup", "objective": "sds", "recipe": recipe}))
    limit = (int(gib * 2**30),) * 2
    process = started(
        *("--job", folder / "large.json", "--out", folder / "out"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    error = process.communicate(timeout=300)[1]
    assert "Traceback" not in error
    return process.returncode, error


def test_where_memory_runs_out_a_run_goes_on_with_fewer_views(tmp_path):
    status, error = run_within(tmp_path, 4)
    assert status == 0, error
    assert "Out of memory at step 0: from here on it takes 32 views a step." in error
    assert (tmp_path / "out" / "splats.ply").exists()


def test_out_of_memory_is_a_sentence_and_leaves_a_resumable_state(tmp_path):
    """Halved twice they are still too many."""
    status, error = run_within(tmp_path, 2.1)
    assert status == 1, error
    assert "from here on it takes 16 views a step" in error
    last = error.strip().splitlines()[-1]
    assert "recipe.views of the job file, now 64" in last
    assert "quality" not in last
    assert (tmp_path / "out" / "checkpoint.safetensors").exists()
    assert (tmp_path / "out" / "splats.ply").exists()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_a_sentence(tmp_path, proxy):
    process = started(
        *("--prompt", "a cup", "--prior", "owner/name", "--out", tmp_path / "out"),
        env={**os.environ, "ALL_PROXY": proxy, "HF_HOME": str(tmp_path)},
    )
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 2
    assert "proxy" in error
    assert len(error.strip().splitlines()) == 1


def test_an_error_of_the_system_names_its_own_file_and_reason(tmp_path, quick, capsys):
    locked = tmp_path / "out"
    locked.mkdir()
    (locked / "events.jsonl").mkdir()
    assert main(["generate", "--job", str(quick), "--steps", "1", "--out", str(locked), "--overwrite"]) == 2
    assert "events.jsonl: cannot be written or read (Is a directory)." in capsys.readouterr().err
    full = OSError(errno.ENOSPC, "No space left on device", "/x/out/.splats-12.ply")
    assert (
        sentence_of(full, "/x/out")
        == "/x/out: the disk is full (No space left on device): free some space and try again."
    )
    assert "disk" not in sentence_of(PermissionError(errno.EACCES, "Permission denied", "/x/font"), "/x/out")
    assert sentence_of(PermissionError(errno.EACCES, "Permission denied", "/x/font"), "/x/out").startswith("/x/font: ")
    network = sentence_of(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "/x/out")
    assert "/x/out" not in network
    assert "network" in network


def test_a_full_disk_at_a_checkpoint_is_a_sentence(tmp_path):
    """safetensors has an error of its own for it; here files may have 64 KiB at most."""
    import torch

    from backend.run.folder import JobFolder

    resource_before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource_before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            JobFolder(tmp_path).save({"a": torch.zeros(1 << 20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, resource_before)
        signal.signal(signal.SIGXFSZ, signal_before)
    assert not list(tmp_path.iterdir())
