"""Handles the requests of clients and the events of the executor, without knowing of sockets.

One job runs at a time.  Results are read from the disk in a thread of its own, as that takes a while.
"""

from __future__ import annotations

import logging
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from backend.errors import UserError
from backend.service.executors import Ended, Event, Executor, Finishing, Started, Task
from backend.service.job_entry import Entry
from backend.service.jobs import Jobs
from backend.service.pages import pages
from backend.service.requests import accept, stored_results
from shared.messages import (
    Cancel,
    Continue,
    Detail,
    Error,
    Fetch,
    FetchDetail,
    Forget,
    FreeMemory,
    FromClient,
    FromServer,
    Generate,
    JobState,
    Order,
    Preview,
    Progress,
    Splats,
    Taken,
    Trouble,
    Warning,
    Watch,
)
from shared.waker import Waker

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Sends messages to clients, each known by its ZeroMQ address."""

    def to(self, address: bytes, message: FromServer) -> None:
        """To one client."""

    def to_all(self, message: FromServer) -> None:
        """To every client."""

    def to_watchers(self, message: Preview | Splats) -> None:
        """To the clients that watch the message's job."""

    def progress(self, message: Progress) -> None:
        """To the clients that watch the job, and now and then to the others."""

    def watched(self, job: str) -> bool:
        """Whether a client watches the job."""


class Dispatcher:
    """Carries out requests, drives the executor and informs the clients."""

    def __init__(self, jobs: Jobs, executor: Executor, sender: Sender) -> None:
        self.jobs, self.executor, self.sender = jobs, executor, sender
        self.waker = Waker()
        self.trouble: Trouble = executor.trouble
        self._running: Entry | None = None
        self._watched = False  # what the executor knows of the running job
        self._shown: dict[type, Preview | Splats] = {}  # the latest ones of the latest job
        self._fetched: queue.SimpleQueue[tuple[bytes, FromServer]] = queue.SimpleQueue()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="results")

    def close(self) -> None:
        """Stop the running job; unfinished jobs continue at the next start."""
        self._reader.shutdown(cancel_futures=True)
        self.executor.close()
        self.waker.close()

    def answer(self, address: bytes, request: FromClient) -> None:
        """Carry out a request, or send an Error and change nothing.  A repeated order is not carried out again."""
        order = request.id if isinstance(request, Order) else None
        job: str | None = getattr(request, "job", None)
        try:
            if order is None or not self.jobs.carried_out(job, order):
                self._do(address, request)
        except UserError as error:
            self.sender.to(address, Error(text=str(error), job=job, order=order))
        except OSError as error:
            log.exception("a request failed")
            text = f"The backend cannot use its disk: {error.strerror or error} ({self.jobs.root})."
            self.sender.to(address, Error(text=text, detail=str(error), job=job, order=order))
        else:
            if order is not None:
                self.sender.to(address, Taken(order=order))

    def _do(self, address: bytes, request: FromClient) -> None:
        match request:
            case Generate():
                self._generate(address, request)
            case Cancel(job=job, id=order):
                self._cancel(address, self.jobs[job], order)
            case Continue(job=job, steps=steps, id=order):
                self._continue(self.jobs[job], steps, order)
            case Forget(job=job):
                self._forget(job)
            case FreeMemory():
                if self._running is not None:
                    raise UserError("A job is running and needs the memory: cancel it, or wait until it ends.")
                self.executor.free_memory()
            case _:
                self._tell(address, request)

    def _tell(self, address: bytes, request: FromClient) -> None:
        """Answer a request that changes nothing."""
        match request:
            case Fetch(job=job):
                entry = self.jobs[job]
                self._reader.submit(self._read_results, address, entry)
            case FetchDetail(job=job):
                self.sender.to(address, Detail(job=job, text=self.jobs[job].detail()))
            case Watch(jobs=jobs):
                for shown in self._shown.values():
                    if shown.job in jobs:
                        self.sender.to(address, shown)
            case _:
                for page in pages(self.jobs.listed()):
                    self.sender.to(address, page)

    def _generate(self, address: bytes, request: Generate) -> None:
        if request.job in self.jobs:  # requested before, but the answer was lost
            self.sender.to(address, self.jobs[request.job].state())
            return
        like = self.jobs[request.like] if request.like else None
        source = self.jobs[request.start_from] if request.start_from else None
        spec = accept(request, self.jobs.folder(request.job), like, source)
        self._publish(self.jobs.add(request.job, spec))

    def _cancel(self, address: bytes, entry: Entry, order: str) -> None:
        if entry is not self._running:
            if not entry.ended:
                entry.apply(order, state="stopped")
            self._publish(entry)
        elif entry.record.stopping:
            entry.apply(order)
            self.executor.kill(entry.id)
            self.sender.to(address, entry.state())
        else:
            self.executor.stop(entry.id)
            entry.apply(order, stopping=True, text="Stopping after this step; cancel again to stop at once.")
            self._publish(entry)

    def _continue(self, entry: Entry, steps: int, order: str) -> None:
        if not entry.ended:
            raise UserError("The job has not ended yet: wait, or cancel it first.")
        if entry.part_of:
            raise UserError("This is a particle of another job: continue that one, and all its particles go on.")
        record = entry.record
        entry.apply(order, state="queued", queued=time.time(), of=record.step + steps, text="", detail="")
        self._publish(entry)

    def _forget(self, job: str) -> None:
        if job in self.jobs:
            if not self.jobs[job].ended:
                raise UserError("The job has not ended yet: cancel it before you remove it.")
            self.jobs.forget(job)
            self._shown = {kind: shown for kind, shown in self._shown.items() if shown.job != job}
        for page in pages(self.jobs.listed()):
            self.sender.to_all(page)

    def _read_results(self, address: bytes, entry: Entry) -> None:
        """Read a job's results; runs in the reader's thread."""
        try:
            found = stored_results(entry)
        except (UserError, OSError) as error:
            found = [Error(text=f"The results cannot be read: {error}", job=entry.id)]
        for message in found:
            self._fetched.put((address, message))
        self.waker.wake()

    def advance(self) -> None:
        """Pass on what came from the executor and the reader, and start the next job if none is running."""
        self.waker.clear()
        while not self._fetched.empty():
            self.sender.to(*self._fetched.get())
        for event in self.executor.events():
            self._handle(event)
        if self.executor.trouble is not self.trouble:
            self.trouble = self.executor.trouble
            self.sender.to_all(self.trouble)
        if self._running is None and (entry := self.jobs.next()) is not None:
            self._running, self._shown, self._watched = entry, {}, False
            entry.update(state="running", text="", warnings=())
            self.executor.submit(Task(job=entry.id, folder=str(entry.folder.path), until=entry.record.of))
            self._publish(entry)

        if self._running is not None and self.sender.watched(self._running.id) != self._watched:
            self._watched = not self._watched
            self.executor.show(self._running.id, self._watched)

    def runs(self, job: str) -> bool:
        """Whether this job is running now."""
        return self._running is not None and self._running.id == job

    def _handle(self, event: Event) -> None:
        entry = self._running
        if entry is None or event.job != entry.id:
            return
        match event:
            case Progress():
                if event.stage != "mesh":  # the job's own steps are all taken then
                    entry.set_step(0 if event.stage == "draft" else event.step)
                self.sender.progress(event)
            case Preview() | Splats():
                self._show(entry, event)
            case Warning():
                entry.warn(event.text)
                self.sender.to_all(event)
            case Started():
                entry.update(step=event.step, to_scene=event.to_scene)
                self._publish(entry)
            case Finishing():
                entry.update(state="finishing")
                self._publish(entry)
            case Ended():
                self._end(entry, event)

    def _show(self, entry: Entry, shown: Preview | Splats) -> None:
        if isinstance(shown, Preview) and entry.thumbnail is None:
            entry.keep_thumbnail(shown.image)
            self._publish(entry)
        self._shown[type(shown)] = shown
        self.sender.to_watchers(shown)

    def _end(self, entry: Entry, ended: Ended) -> None:
        self._running = None
        preview = self._shown.get(Preview)
        if isinstance(preview, Preview):
            entry.keep_thumbnail(preview.image)
        entry.end(ended.state, ended.text, ended.detail)
        for ended_entry in (entry, *self.jobs.add_particles(entry)):
            self._publish(ended_entry)

    def _publish(self, entry: Entry) -> None:
        state: JobState = entry.state()
        self.sender.to_all(state)
