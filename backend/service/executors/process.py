"""One worker process on this machine, and the thread that reads its messages."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from backend.service.executors import FromWorker
from backend.service.executors.pipes import read_frames, write_frames
from backend.terminal import CHECKOUT
from shared.codec import ProtocolError, decode, encode
from shared.messages import Message
from shared.waker import Waker

PATIENCE = 5.0  # seconds for a pipe that a child of the worker still holds open
TAIL = 4000  # characters of the log that explain a death

log = logging.getLogger(__name__)


class Worker:
    """A process of a module, in `command` with its arguments; what it prints is appended to the log.

    Its messages, which are of these `kinds`, are put into `inbox`, and None when it has died.  It exits when its input
    ends, so it cannot outlive this process.  `environment` is added to ours.
    """

    def __init__(
        self,
        log: Path,
        inbox: queue.SimpleQueue[tuple[Worker, Any]],
        waker: Waker,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = ("backend.service.worker",),
        kinds: Any = FromWorker,
    ) -> None:
        self.ready = self.killed = False  # has warmed up; was killed by us
        self._log, self._inbox, self._waker, self._kinds = log, inbox, waker, kinds
        # From a repository the worker must be told where the package is; an installed one is found as any other.
        paths = os.pathsep.join(filter(None, [str(CHECKOUT or ""), os.environ.get("PYTHONPATH")]))
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
            )
        self.started_at = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, message: Message) -> None:
        """Send a command; does nothing if the process has died, which its reader will report."""
        pipe = self._process.stdin
        with contextlib.suppress(OSError):
            if pipe is not None:
                write_frames(pipe, encode(message))

    def kill(self) -> None:
        """End it now."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Wait for the end of a process that was killed or has died, and release its thread and pipes."""
        self._process.wait()
        self._reader.join(PATIENCE)  # a thread in the middle of a pipe would end the interpreter with a fatal error
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # its buffer may hold what could not be written
                    pipe.close()

    def exit_cause(self) -> str:
        """How it ended, as part of a sentence; call `close` first."""
        code = self._process.returncode
        if code >= 0:
            return f"ended with code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def log_tail(self) -> str:
        """The last part of what it printed."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")[-TAIL:]

    def _read(self) -> None:
        """Runs in a thread until the process ends."""
        pipe: IO[bytes] | None = self._process.stdout
        try:
            while pipe is not None and (frames := read_frames(pipe)) is not None:
                self._inbox.put((self, decode(frames, self._kinds)))
                self._waker.wake()
        except (ProtocolError, OSError):
            log.exception("the worker sent an invalid message and is replaced")
            self._process.kill()
        self._process.wait()
        self._inbox.put((self, None))
        self._waker.wake()
