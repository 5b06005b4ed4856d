"""One worker process on this machine, and the thread that reads what it says."""

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
from pathlib import Path
from typing import IO

from backend.service.executors import FromWorker
from backend.service.executors.pipes import read_frames, write_frames
from backend.terminal import CHECKOUT
from shared.codec import ProtocolError, decode, encode
from shared.messages import Message
from shared.waker import Waker

PATIENCE = 5.0  # seconds for what a child of the worker still holds open
TAIL = 4000  # characters of the log that explain a death

log = logging.getLogger(__name__)


class Worker:
    """A process of `backend.service.worker`; what it prints is appended to the log.

    Into `heard` goes what it says, and None when it has died.  It ends when its input does: it cannot outlive us,
    however we end.
    """

    def __init__(self, log: Path, heard: queue.SimpleQueue[tuple[Worker, FromWorker | None]], waker: Waker) -> None:
        self.ready = self.killed = False  # it is warm; we have killed it
        self._log, self._heard, self._waker = log, heard, waker
        # From a repository the worker must be told where we are; installed, it finds us as every package.
        paths = os.pathsep.join(filter(None, [str(CHECKOUT or ""), os.environ.get("PYTHONPATH")]))
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "backend.service.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, "PYTHONPATH": paths},
            )
        self.started_at = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, message: Message) -> None:
        """Send an order; to nobody where it has died, which its reader will say."""
        pipe = self._process.stdin
        with contextlib.suppress(OSError):
            if pipe is not None:
                write_frames(pipe, encode(message))

    def kill(self) -> None:
        """End it now."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Wait for the end of one that was killed or has died, and let go of all that was its."""
        self._process.wait()
        self._reader.join(PATIENCE)  # a thread in the middle of a pipe would end the interpreter with a fatal error
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what could not be written is still in its buffer
                    pipe.close()

    def how_it_ended(self) -> str:
        """How it ended, once it is buried."""
        code = self._process.returncode
        if code >= 0:
            return f"ended with code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def log_end(self) -> str:
        """The end of what it printed."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")[-TAIL:]

    def _read(self) -> None:
        """Runs in a thread until the process ends."""
        pipe: IO[bytes] | None = self._process.stdout
        try:
            while pipe is not None and (frames := read_frames(pipe)) is not None:
                self._heard.put((self, decode(frames, FromWorker)))
                self._waker.wake()
        except (ProtocolError, OSError):
            log.exception("the worker cannot be understood, and is replaced")
            self._process.kill()
        self._process.wait()
        self._heard.put((self, None))
        self._waker.wake()
