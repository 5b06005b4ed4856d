"""Handles the requests of clients and the events of the executor, without knowing of sockets.

As many jobs run at a time as the executor has room for.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import msgspec

from backend.errors import UserError
from backend.run.refine_later import refine_later
from backend.service.executors import Ended, Event, Executor, Finishing, Started, Task
from backend.service.job_entry import Entry
from backend.service.jobs import Jobs
from backend.service.pages import pages
from backend.service.requests import accept
from backend.service.results_reader import ResultsReader
from backend.service.sender import Sender
from backend.service.versions import code_version, prior_version
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
    Generate,
    JobState,
    Order,
    Preview,
    Progress,
    Removed,
    Splats,
    Taken,
    Trouble,
    Warning,
    Watch,
    new_job_id,
)
from shared.waker import Waker

log = logging.getLogger(__name__)


@dataclass
class Running:
    """A job that runs, or the last one that did: what was shown of it, and whether the executor has it watched."""

    entry: Entry
    watched: bool = False
    shown: dict[type, Preview | Splats] = field(default_factory=dict)


class Dispatcher:
    """Carries out requests, drives the executor and informs the clients."""

    def __init__(self, jobs: Jobs, executor: Executor, sender: Sender) -> None:
        self.jobs, self.executor, self.sender = jobs, executor, sender
        self.waker = Waker()
        self.trouble: Trouble = executor.trouble
        self._running: dict[str, Running] = {}
        self._last: Running | None = None  # the one that ended last
        self._reader = ResultsReader(self.waker)
        for entry in jobs.running():  # on a cluster, under an earlier server
            self._submit(entry)
            if entry.record.stopping:
                executor.stop(entry.id)

    def close(self) -> None:
        """Stop the running jobs; unfinished jobs continue at the next start."""
        self._reader.close()
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
            case Continue():
                self._continue(self.jobs[request.job], request)
            case Forget(job=job):
                self._forget(job)
            case FreeMemory():
                if self._running:
                    raise UserError("A job is running and needs the memory: cancel it, or wait until it ends.")
                self.executor.free_memory()
            case _:
                self._tell(address, request)

    def _tell(self, address: bytes, request: FromClient) -> None:
        """Answer a request that changes nothing."""
        match request:
            case Fetch(job=job):
                self._reader.fetch(address, self.jobs[job])
            case FetchDetail(job=job):
                self.sender.to(address, Detail(job=job, text=self.jobs[job].detail()))
            case Watch(jobs=jobs):
                for seen in (*self._running.values(), *([self._last] if self._last else [])):
                    for shown in seen.shown.values() if seen.entry.id in jobs else ():
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
        if entry.id not in self._running:
            if not entry.ended:
                entry.apply(order, state="stopped")
            self._publish(entry)
        elif entry.record.stopping:
            entry.apply(order)
            self.executor.kill(entry.id)
            self.sender.to(address, entry.state())
        else:
            entry.apply(order, stopping=True, text="Stopping after this step; cancel again to stop at once.")
            self.executor.stop(entry.id)
            self._publish(entry)

    def _continue(self, entry: Entry, request: Continue) -> None:
        if not entry.ended:
            raise UserError("The job has not ended yet: wait, or cancel it first.")
        if entry.part_of:
            raise UserError("This is a particle of another job: continue that one, and all its particles go on.")
        if request.refine_steps is not None:
            entry.job = refine_later(entry.folder.path, request.refine_steps)
        until = entry.record.step + request.steps
        entry.apply(request.id, state="queued", queued=time.time(), of=until, text="", detail="")
        self._publish(entry)

    def _forget(self, job: str) -> None:
        if job in self.jobs:
            if not self.jobs[job].ended:
                raise UserError("The job has not ended yet: cancel it before you remove it.")
            self.jobs.forget(job)
            self._last = self._last if self._last and self._last.entry.id != job else None
        self.sender.to_all(Removed(job=job))

    def advance(self) -> None:
        """Pass on what came from the executor and the reader, and start waiting jobs while there is room."""
        self.waker.clear()
        for address, message in self._reader.take():
            self.sender.to(address, message)
        for event in self.executor.events():
            self._handle(event)
        if self.executor.trouble is not self.trouble:
            self.trouble = self.executor.trouble
            self.sender.to_all(self.trouble)
        self._start_waiting()
        for job, running in self._running.items():
            if self.sender.watched(job) != running.watched:
                running.watched = not running.watched
                self.executor.show(job, running.watched)

    def runs(self, job: str) -> bool:
        """Whether this job is running now."""
        return job in self._running

    def _start_waiting(self) -> None:
        """Start the jobs that have waited longest, each if there is room for one on its device."""
        busy: set[str] = set()
        while (entry := self.jobs.next(busy)) is not None:
            if not self.executor.has_room(entry.job.device):
                busy.add(entry.job.device)
                continue
            entry.update(state="running", text="", warnings=(), run=new_job_id())
            self._submit(entry)
            self._publish(entry)

    def _submit(self, entry: Entry) -> None:
        """Hand a job to the executor, which may have it already."""
        self._running[entry.id] = Running(entry)
        folder, device = str(entry.folder.path), entry.job.device
        task = Task(job=entry.id, folder=folder, until=entry.record.of, device=device, run=entry.record.run)
        if self.executor.detached:
            task = msgspec.structs.replace(task, code=code_version(), prior=prior_version(entry.job.prior))
        self.executor.submit(task)

    def _handle(self, event: Event) -> None:
        running = self._running.get(event.job)
        if running is None:
            return
        entry = running.entry
        match event:
            case Progress():
                if event.stage != "mesh":  # the job's own steps are all taken then
                    entry.set_step(0 if event.stage == "draft" else event.step)
                self.sender.progress(event)
            case Preview() | Splats():
                self._show(running, event)
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
                self._end(running, event)

    def _show(self, running: Running, shown: Preview | Splats) -> None:
        entry = running.entry
        if isinstance(shown, Preview) and entry.thumbnail is None:
            entry.keep_thumbnail(shown.image)
            self._publish(entry)
        running.shown[type(shown)] = shown
        self.sender.to_watchers(shown)

    def _end(self, running: Running, ended: Ended) -> None:
        entry = running.entry
        self._last = self._running.pop(entry.id)
        preview = running.shown.get(Preview)
        if isinstance(preview, Preview):
            entry.keep_thumbnail(preview.image)
        entry.end(ended.state, ended.text, ended.detail)
        for ended_entry in (entry, *self.jobs.add_particles(entry)):
            self._publish(ended_entry)

    def _publish(self, entry: Entry) -> None:
        state: JobState = entry.state()
        self.sender.to_all(state)
