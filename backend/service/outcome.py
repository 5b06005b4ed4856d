"""How a job on a cluster ended, in its folder: written before its card is freed, so that nobody needs to be listening.

outcome.json    the run that has ended, and how
deaths.json     how often its process has died since the last checkpoint
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from backend.files import replacing
from backend.run.fence import Fence, TakenOverError
from backend.service.executors import Ended, Task

OUTCOME, DEATHS = "outcome.json", "deaths.json"  # the first is in the fence's list too, see `run.folder`
CHECKPOINT, STATE = "checkpoint.safetensors", "state.json"

log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """What outcome.json says; `run` is that of the task."""

    run: str
    ended: Ended


class Deaths(msgspec.Struct, frozen=True):
    """What deaths.json says: the deaths of a run since its checkpoint had this time of change, in ns."""

    run: str
    checkpoint: int = 0
    count: int = 0


class Asked(msgspec.Struct, frozen=True):
    """Part of state.json: whether the run is to stop."""

    run: str = ""
    stopping: bool = False


def write_outcome(fence: Fence, run: str, ended: Ended) -> None:
    """Keep how a run ended, unless another process works on the job by now.  A disk error is only logged."""
    try:
        with fence.replacing(OUTCOME) as file:
            file.write_bytes(msgspec.json.encode(Outcome(run, ended)))
    except TakenOverError:
        return
    except OSError:
        log.exception("the outcome in %s could not be written", fence.folder)


def read_outcome(task: Task) -> Ended | None:
    """How the task's run ended; None where it has not, as far as its folder says."""
    folder = Path(task.folder)
    try:
        os.listdir(folder)  # has a network drive look for new files
        found = msgspec.json.decode((folder / OUTCOME).read_bytes(), type=Outcome)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.ended if found.run == task.run else None


def count_death(task: Task) -> int | None:
    """Called when a process begins: how many died before it at the same checkpoint; None for the first of the run."""
    folder = Path(task.folder)
    try:
        before = msgspec.json.decode((folder / DEATHS).read_bytes(), type=Deaths)
    except (OSError, msgspec.MsgspecError):
        before = Deaths("")
    checkpoint = (folder / CHECKPOINT).stat().st_mtime_ns if (folder / CHECKPOINT).exists() else 0
    first = before.run != task.run
    now = Deaths(task.run, checkpoint, before.count + 1 if not first and before.checkpoint == checkpoint else 0)
    with replacing(folder / DEATHS) as file:
        file.write_bytes(msgspec.json.encode(now))
    return None if first else now.count


def asked_to_stop(task: Task) -> bool:
    """Whether the server has been told to stop this run: state.json says so before anybody else is told."""
    try:
        asked = msgspec.json.decode((Path(task.folder) / STATE).read_bytes(), type=Asked)
    except (OSError, msgspec.MsgspecError):
        return False
    return asked.run == task.run and asked.stopping
