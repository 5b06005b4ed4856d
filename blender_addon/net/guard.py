"""Run a command for as long as somebody holds our stdin: `python guard.py COMMAND ...`, the standard library alone.

Blender holds the other end of the pipe.  It closes when Blender stops the backend, quits, crashes or is killed.  The
guard then ends the command and every process that it started: it asks first, and kills them PATIENCE seconds later.  On
Linux the command is asked to end as well when the guard itself is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

PATIENCE = 5.0  # seconds to end by itself; a step of a job takes less
PR_SET_PDEATHSIG = 1  # of Linux's prctl(2): the signal that comes when the parent dies


def main(command: Sequence[str]) -> int:
    """Run the command; its exit code."""
    asked = _end_with_parent if sys.platform == "linux" else None
    # preexec_fn is safe here: the guard has no other thread yet.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=asked)  # noqa: PLW1509
    threading.Thread(target=_end_with_stdin, args=(process,), daemon=True).start()
    code = process.wait()
    _kill_group(process)  # processes of the command that are still running
    return code


def _end_with_parent() -> None:
    """Runs in the new process, before the command does: have Linux end it when the guard dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_with_stdin(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 64):  # not sys.stdin, whose lock would outlive the interpreter
        pass
    _ask(process)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _kill_group(process)


def _ask(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        _kill_group(process)  # Windows has no way to ask a program without a window
    else:
        _signal_group(process, signal.SIGTERM)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # all of its processes have ended already


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
