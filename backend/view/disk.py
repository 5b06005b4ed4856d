"""Jobs on the disk as the page shows them: what is in a folder now, read again where it has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backend.errors import UserError
from backend.job.job import read_object
from backend.run.folder import HISTORY, JobFolder
from backend.run.history import kept_steps, read_moment
from backend.view.gaussians import Gaussians, of_splats

SPLATS = "splats.ply"
ROUNDED = 0.01  # seconds: times in events.jsonl are rounded


class JobOnDisk:
    """A job's folder.  `steps` are the metrics of each step, `moments` the steps of which there are splats."""

    def __init__(self, path: Path) -> None:
        self.folder, self.path = JobFolder(path), path
        self.fields: dict[str, Any] = {}
        self.of = 0
        self.steps: dict[int, dict[str, float]] = {}
        self.moments: dict[int, int] = {}  # a number that changes when the splats of this step do
        self.problems: dict[str, str] = {}  # by file, a sentence each
        self._times: list[tuple[float, int]] = []
        self._read_to, self._log = 0, 0  # bytes; the file's number
        self._result = 0  # the step of splats.ply
        self._stamps: dict[str, tuple[int, ...] | None] = {}

    def refresh(self) -> None:
        """Read what has changed since the last time."""
        if self._changed("job.json"):
            self._noting("job.json", self._read_job)
        if self._changed("events.jsonl"):
            self._noting("events.jsonl", self._read_log)
        history, splats = self._changed(HISTORY), self._changed(SPLATS)
        if history or splats:
            self.moments = {}
            self._noting(HISTORY, self._list_history)
            self._noting(SPLATS, self._find_result)

    @property
    def last(self) -> int:
        """The last step that is known."""
        return max((*self.steps, *self.moments), default=0)

    @property
    def hopeless(self) -> str:
        """A sentence where there is nothing to show and nothing will come; "" elsewhere."""
        if self.moments:
            return ""
        finished = (self.folder / "metrics.json").exists() or not (self.folder / "job.json").exists()
        missing = (
            f"view: {self.path / SPLATS} is missing: make it again with `generate --continue`." if finished else ""
        )
        return next(iter(self.problems.values()), missing)

    def moment(self, step: int) -> int | None:
        """The last of `moments` that is not after this step, or else the first; None where there are none."""
        return max((at for at in self.moments if at <= step), default=min(self.moments, default=None))

    def splats(self, moment: int) -> Gaussians | None:
        """The splats of a moment; None and a problem where they cannot be read."""
        name = SPLATS if moment == self._result and self._stamps.get(SPLATS) else HISTORY
        found: list[Gaussians] = []

        def read() -> None:
            whole = self.folder.splats() if name == SPLATS else read_moment(self.folder / HISTORY, moment)
            found.append(of_splats(whole))

        self._noting(name, read)
        return found[0] if found else None

    def _noting(self, name: str, read: Callable[[], None]) -> None:
        """Read a file; why that cannot be done goes into `problems`."""
        self.problems.pop(name, None)
        try:
            read()
        except (UserError, msgspec.MsgspecError) as error:
            self.problems[name] = f"view: {str(error).removeprefix('view: ')}"
        except OSError as error:
            self.problems[name] = f"view: {self.path / name} cannot be read ({error.strerror or error})."

    def _changed(self, name: str) -> bool:
        try:
            found = (self.path / name).stat()
            stamp: tuple[int, ...] | None = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            stamp = None
        before, self._stamps[name] = self._stamps.get(name), stamp
        return before != stamp

    def _read_job(self) -> None:
        self.fields = read_object(self.path / "job.json", "view") if (self.path / "job.json").exists() else {}

    def _read_log(self) -> None:
        """The lines that were added; all of them where another file has taken the log's place."""
        file = self.path / "events.jsonl"
        number, size = file.stat().st_ino if file.exists() else 0, file.stat().st_size if file.exists() else 0
        if number != self._log or size < self._read_to:
            self._log, self._read_to, self.steps, self._times = number, 0, {}, []
        if not number:
            return
        with file.open("rb") as handle:
            handle.seek(self._read_to)
            whole, end, _ = handle.read().rpartition(b"\n")
        self._read_to += len(whole + end)
        for row in whole.splitlines():
            self._take(row)

    def _take(self, row: bytes) -> None:
        try:
            event = json.loads(row)
            if event["event"] == "progress":
                step = int(event["step"])
                self.steps[step], self.of = dict(event["metrics"]), int(event["of"])
                self._times.append((float(event["time"]), step))
        except (ValueError, KeyError, TypeError):
            return  # half a line of a process that was killed

    def _list_history(self) -> None:
        mtime = (self._stamps.get(HISTORY) or (0,))[0]
        self.moments |= dict.fromkeys(kept_steps(self.path / HISTORY), mtime)

    def _find_result(self) -> None:
        """The step of splats.ply: the last one that was logged before it was written."""
        if (stamp := self._stamps.get(SPLATS)) is None:
            return
        written = stamp[0] / 1e9 + ROUNDED
        self._result = next((step for time, step in reversed(self._times) if time <= written), self.last)
        self.folder.splats()  # whether it can be read
        self.moments[self._result] = stamp[0]


def find_jobs(root: Path) -> list[Path]:
    """The folder itself where it is a job's, or else those in it, or else those in these.

    Raises UserError where there are none.
    """
    if _is_job(root):
        return [root]
    for pattern in ("*", "*/*"):
        if found := [path for path in root.glob(pattern) if path.is_dir() and _is_job(path)]:
            return sorted(found, key=_by_number)
    raise UserError(f"view: {root} has no results: name the folder of a job, or one that holds such folders.")


def labels(jobs: Sequence[JobOnDisk]) -> list[str]:
    """A name for each job that no other has, as short as that goes: by seed, prompt, objective, or its folder."""
    for names in (("seed",), ("prompt", "seed"), ("objective", "prompt", "seed")):
        others = {key for job in jobs for key in ("prompt", "objective") if key not in names}
        alike = all(len({str(job.fields.get(key)) for job in jobs}) == 1 for key in others)
        found = [_label(job, names) for job in jobs]
        if alike and all(job.fields for job in jobs) and len(set(found)) == len(jobs):
            return found
    return [job.path.name for job in jobs]


def _label(job: JobOnDisk, names: Sequence[str]) -> str:
    parts = {name: str(job.fields.get(name, "")) for name in names}
    return ", ".join(f"seed {parts[name] or 0}" if name == "seed" else parts[name] for name in names)


def _is_job(path: Path) -> bool:
    return any((path / name).is_file() for name in ("job.json", SPLATS))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """seed-2 before seed-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]
