"""The page of a server: the list of its jobs, and live splats of those that are chosen.  It orders nothing."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from PIL import Image

from backend.view.connection import Connection
from backend.view.gaussians import of_message
from backend.view.page import line, warning
from backend.view.stage import Exhibit, Stage
from shared.address import Address
from shared.dealer import Keys
from shared.messages import ENDED, Error, FromServer, Jobs, JobState, Preview, Progress, Removed, Splats

ROWS = 8  # jobs on a page
MOST_WATCHED = 4  # the server shows no more
PICTURE = 64  # pixels of a thumbnail
COLOURS = {"running": "#1c7ed6", "finishing": "#1c7ed6", "done": "#2b8a3e", "failed": "#c92a2a"}


@dataclass
class _Row:
    """A row of the list: what stands in it, and its button."""

    text: Any
    button: Any


class ServerPage:
    """What `update` puts on the page.  Clicks are kept until the next update, so that one thread does everything.

    Raises UserError where no server of our version answers at the address.
    """

    def __init__(self, address: Address, keys: Keys | None) -> None:
        self.address = address
        self.jobs: dict[str, JobState] = {}  # the newest first
        self.watched: list[str] = []
        self._listed: dict[str, JobState] = {}
        self._progress: dict[str, Progress] = {}
        self._splats: dict[str, Splats] = {}
        self._pictures: dict[str, tuple[Any, str]] = {}  # what each was made of, and its address
        self._refusal = ""
        self._clicked: list[int] = []
        self._turned, self._first, self._was_away = 0, 0, False
        self.connection = Connection(address, keys)
        try:
            self._hear(self.connection.wait_for_welcome())
        except BaseException:
            self.connection.close()
            raise

    @property
    def title(self) -> str:
        """What the page is called."""
        return str(self.address)

    def open(self, server: Any) -> None:
        """Make the page's parts."""
        self._stage, gui = Stage(server), server.gui
        self._top = gui.add_html("")
        self._rows = [self._add_row(gui, number) for number in range(ROWS)]
        self._turn = gui.add_button_group("Jobs", ("Newer", "Older"))
        self._turn.on_click(lambda event: self._turn_page(str(event.target.value)))

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def update(self) -> None:
        """Show how things are now."""
        self._hear(self.connection.messages())
        if self._was_away and not self.connection.trouble:
            self._fetch_again()
        self._was_away = bool(self.connection.trouble)
        shown = self._page()
        while self._clicked:
            number = self._clicked.pop(0)
            if number < len(shown):
                self._choose(shown[number].job)
        self._draw_list(shown)
        self._stage.show([self._exhibit(job) for job in self.watched if job in self._splats])

    def _hear(self, messages: list[FromServer]) -> None:
        for message in messages:
            match message:
                case Jobs():
                    self._listed = ({} if message.page == 0 else self._listed) | {job.job: job for job in message.jobs}
                    if message.last:
                        self.jobs = self._listed
                case JobState():
                    self._hear_state(message)
                case Removed():
                    self._forget(message.job)
                case Progress():
                    self._progress[message.job] = message
                case Splats() if message.job in self.watched:
                    self._splats[message.job] = message
                case Preview():
                    self._pictures[message.job] = (message, _data_uri(message.image))
                case Error():
                    self._refusal = message.text
                case _:
                    pass
        self.watched = [job for job in self.watched if job in self.jobs]

    def _hear_state(self, state: JobState) -> None:
        before = self.jobs.get(state.job)
        self.jobs = ({} if before else {state.job: state}) | self.jobs | {state.job: state}
        if before and before.state != state.state and state.state in ENDED and state.job in self.watched:
            self.connection.fetch(state.job)

    def _forget(self, removed: str) -> None:
        """Drop a job and its particles."""
        gone = [job for job, state in self.jobs.items() if removed in (job, state.part_of)]
        for table in (self.jobs, self._progress, self._pictures, self._splats):
            for job in gone:
                table.pop(job, None)

    def _fetch_again(self) -> None:
        """The server was away: jobs may have ended in the meantime."""
        for job in self.watched:
            if self.jobs[job].state in ENDED:
                self.connection.fetch(job)

    def _choose(self, job: str) -> None:
        """Show a job that is not shown, and the other way round; of five the first goes."""
        self._refusal = ""
        if job in self.watched:
            self.watched.remove(job)
            self._splats.pop(job, None)
        else:
            self.watched = [*self.watched, job][-MOST_WATCHED:]
            if self.jobs[job].has_splats:
                self.connection.fetch(job)
        self._splats = {key: splats for key, splats in self._splats.items() if key in self.watched}
        self.connection.watch(tuple(self.watched))

    def _turn_page(self, way: str) -> None:
        self._turned += ROWS if way == "Older" else -ROWS

    def _page(self) -> list[JobState]:
        """The jobs of this page of the list."""
        jobs = list(self.jobs.values())
        self._turned = self._first = max(0, min(self._turned, (len(jobs) - 1) // ROWS * ROWS))
        return jobs[self._first : self._first + ROWS]

    def _add_row(self, gui: Any, number: int) -> _Row:
        row = _Row(gui.add_html("", visible=False), gui.add_button("Show", visible=False))
        row.button.on_click(lambda _: self._clicked.append(number))
        return row

    def _draw_list(self, shown: list[JobState]) -> None:
        _set(self._top, content=self._summary())
        for number, row in enumerate(self._rows):
            job = shown[number] if number < len(shown) else None
            _set(row.text, visible=job is not None, content=self._describe(job) if job else "")
            there = job is not None and (job.has_splats or job.state == "running" or job.job in self.watched)
            text = "Hide" if job is not None and job.job in self.watched else "Show"
            _set(row.button, visible=there, label=text)
        _set(self._turn, visible=len(self.jobs) > ROWS)

    def _summary(self) -> str:
        counts = Counter(job.state for job in self.jobs.values())
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        text = f"{len(self.jobs)} jobs: {states}" if self.jobs else "This server has no jobs."
        if len(self.jobs) > ROWS:
            text += f"; here {self._first + 1} to {min(self._first + ROWS, len(self.jobs))}"
        trouble = "".join(warning(told) for told in (self.connection.trouble, self._refusal) if told)
        waits = [job for job in self.watched if job not in self._splats]
        waiting = line("Waiting for splats …") if waits and not trouble else ""
        return trouble + line(text, strong=True) + waiting

    def _describe(self, job: JobState) -> str:
        """A job's row: its picture, prompt, state and how far it is."""
        how = f"{job.state}, {self._step_of(job)}" if job.state != "queued" else "queued"
        share = self._share(job)
        bar = (
            f'<div style="height:4px;background:#e9ecef;margin:0.3em 0.6em"><div style="height:4px;width:{share:.0%};'
            f'background:{COLOURS.get(job.state, "#868e96")}"></div></div>'
        )
        text = line(f"{job.prompt}, seed {job.seed}", strong=True) + line(how, colour=COLOURS.get(job.state, "inherit"))
        text += (line(job.text[:200]) if job.text else "") + bar
        picture = self._picture(job)
        image = f'<img src="{escape(picture)}" width="{PICTURE}" height="{PICTURE}" alt="">' if picture else ""
        left = f'<div style="width:{PICTURE}px;height:{PICTURE}px;flex:none;background:#f1f3f5">{image}</div>'
        style = "display:flex;margin:0.4em 0.6em 0.2em"
        return f'<div style="{style}">{left}<div style="flex:1;min-width:0">{text}</div></div>'

    def _step_of(self, job: JobState) -> str:
        told = self._progress.get(job.job)
        if job.state != "running" or told is None:
            return f"step {job.step} of {job.of}"
        stage = "draft, " if told.stage == "draft" else ""
        return f"{stage}step {told.step} of {told.of}, {told.seconds_left:.0f} s left"

    def _share(self, job: JobState) -> float:
        told = self._progress.get(job.job)
        step, of = (told.step, told.of) if told and job.state == "running" else (job.step, job.of)
        return min(step / max(of, 1), 1.0)

    def _picture(self, job: JobState) -> str:
        """The thumbnail, or the last picture of a job that is watched, as an address of its own."""
        source, picture = self._pictures.get(job.job, (None, ""))
        live = isinstance(source, Preview) and job.state == "running"
        if live or job.thumbnail is None or source is job.thumbnail:
            return picture
        self._pictures[job.job] = (job.thumbnail, _data_uri(job.thumbnail))
        return self._pictures[job.job][1]

    def _exhibit(self, job: str) -> Exhibit:
        splats, state = self._splats[job], self.jobs[job]
        version = (splats.step, splats.final)
        return Exhibit(job, f"{state.prompt}, seed {state.seed}", version, partial(of_message, splats))


def _set(handle: Any, **values: Any) -> None:
    """Only what differs is sent to the browser."""
    for name, value in values.items():
        if getattr(handle, name) != value:
            setattr(handle, name, value)


def _data_uri(image: Any) -> str:
    """A picture (H,W,3) uint8 in the page itself."""
    small = Image.fromarray(image).resize((2 * PICTURE, 2 * PICTURE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
