"""The models of this computer as the preferences show them: listed and downloaded by the backend's commands.  No bpy.

    idle -> listing -> idle
    idle -> downloading -> listing -> idle
                 \\-> stopping -> listing           by Cancel

One process at a time; the timer calls `step`, which never waits.  What has come of a download is kept by the backend,
so that the next one of that model goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from ..shared.models import Done, DownloadProgress, Failed, Listing, Model, ModelsLine, Offer, Stopped
from .command_process import CommandProcess
from .launcher import LauncherError

ManagerState = Literal["idle", "listing", "downloading", "stopping"]
RowState = Literal["here", "LoRA", "incomplete", "unusable", "offered"]
BAD_INPUT = 2  # exit code: the last line of stderr is a sentence for the user


@dataclass(frozen=True)
class ModelRow:
    """A line of the list: a model that is here, or one on offer; `size` in bytes, `fit` and `problem` for a person."""

    name: str
    family: str
    size: int
    licence: str
    state: RowState
    fit: str
    fits: bool | None
    problem: str = ""

    @property
    def can_download(self) -> bool:
        """Whether there is something to fetch."""
        return self.state in ("offered", "incomplete")


@dataclass
class ModelManager:
    """What the list shows, and the process that lists or downloads; `folder` is for the files of that process."""

    folder: Path
    state: ManagerState = "idle"
    listing: Listing | None = None
    model: str = ""  # that is downloaded, or was last
    progress: DownloadProgress | None = None
    text: str = ""  # how the last thing ended, in a sentence
    failed: bool = False
    _repository: Path = Path()
    _process: CommandProcess | None = None
    _last: ModelsLine | None = None

    @property
    def busy(self) -> bool:
        """Whether a process is at work."""
        return self.state != "idle"

    def look(self, repository: Path, *change: str) -> None:
        """Bring the list up to date, after a change: ("add", FOLDER) or ("remove", FOLDER).

        Raises LauncherError where there is no backend.
        """
        self._start(repository, "listing", ["models", *change, "--json"])

    def download(self, repository: Path, model: str) -> None:
        """Download a model, or the rest of it.  Raises LauncherError where there is no backend."""
        self._start(repository, "downloading", ["models", "download", model, "--json"])
        self.model, self.text, self.failed, self.progress = model, "", False, None

    def cancel(self) -> None:
        """Stop the process; returns at once."""
        if self._process is not None:
            self._process.stop()
            self.state = "stopping" if self.state == "downloading" else self.state

    def step(self) -> bool:
        """Take what the process has said.  Returns whether something changed."""
        if self._process is None:
            return False
        code = self._process.exit_code  # asked before the lines are read, so that the last ones are not missed
        lines = self._process.lines()
        for line in lines:
            self._take(msgspec.json.decode(line, type=ModelsLine))
        if code is not None:
            self._ended(code)
        return bool(lines) or code is not None

    def rows(self) -> list[ModelRow]:
        """The models that are here, then those on offer."""
        if self.listing is None:
            return []
        names = {model.name for model in self.listing.models}
        here = [_row_of_model(model) for model in self.listing.models]
        return here + [_row_of_offer(offer) for offer in self.listing.suggested if offer.name not in names]

    def _start(self, repository: Path, state: ManagerState, arguments: list[str]) -> None:
        self._process = CommandProcess(repository, arguments, self.folder)
        self._repository, self.state, self._last = repository, state, None

    def _take(self, line: ModelsLine) -> None:
        self._last = line
        if isinstance(line, DownloadProgress):
            self.progress = line
        elif isinstance(line, Listing):
            self.listing = line

    def _ended(self, code: int) -> None:
        """Say how it ended, and after a download list what is here now."""
        assert self._process is not None
        was, tail = self.state, self._process.last_lines()
        self.state, self._process, self.progress = "idle", None, None
        if isinstance(self._last, Listing):
            return
        self.failed = False
        if isinstance(self._last, Done):
            self.text = f"{self.model} is here: choose it and press Use."
        elif was == "stopping" or isinstance(self._last, Stopped):
            self.text = f"Stopped; what came of {self.model} is kept, and Download goes on from there."
        else:
            self.text, self.failed = self._failure(code, tail), True
        if was != "listing":
            try:
                self.look(self._repository)
            except LauncherError as error:
                self.text, self.failed = str(error), True

    def _failure(self, code: int, tail: list[str]) -> str:
        if isinstance(self._last, Failed):
            return self._last.text
        return tail[-1] if tail and code == BAD_INPUT else f"The backend's process ended with code {code}."


def _row_of_model(model: Model) -> ModelRow:
    state: RowState = "LoRA" if model.source == "LoRA" else "here"
    if model.problem:
        state = "incomplete" if model.source == "hub" and not model.whole else "unusable"
    return ModelRow(
        model.name, model.family, model.size, model.licence, state, model.fit.text, model.fit.fits, model.problem
    )


def _row_of_offer(offer: Offer) -> ModelRow:
    return ModelRow(offer.name, offer.family, offer.size, offer.licence, "offered", offer.fit.text, offer.fit.fits)
