"""Reads results from the disk in a thread of its own, as that takes a while."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from backend.errors import UserError
from backend.service.job_entry import Entry
from backend.service.requests import stored_results
from shared.messages import Error, FromServer
from shared.waker import Waker


class ResultsReader:
    """Fetches results of jobs for clients, one job after the other; `waker` tells when there is something to take."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._read: queue.SimpleQueue[tuple[bytes, FromServer]] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results")

    def fetch(self, address: bytes, entry: Entry) -> None:
        """Have the results of a job read for a client; returns at once."""
        self._thread.submit(self._fetch, address, entry)

    def _fetch(self, address: bytes, entry: Entry) -> None:
        try:
            found = stored_results(entry)
        except (UserError, OSError) as error:
            found = [Error(text=f"The results cannot be read: {error}", job=entry.id)]
        for message in found:
            self._read.put((address, message))
        self._waker.wake()

    def take(self) -> Iterator[tuple[bytes, FromServer]]:
        """What has been read since, and for whom."""
        while not self._read.empty():
            yield self._read.get()

    def close(self) -> None:
        """End the thread after the job that it reads."""
        self._thread.shutdown(cancel_futures=True)
