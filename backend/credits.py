"""Whose objects a result is made of, as a line each: "Oak chair by Scopia (CC-BY-3.0), 61 %"."""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec
from msgspec import Meta

from backend.folder import JobFolder

log = logging.getLogger(__name__)


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """An object and its share of the result, as metrics.json has it."""

    name: str
    creator: str = ""
    licence: str = ""
    source: str = ""
    share: Annotated[float, Meta(ge=0)]  # 1 is all of it

    def line(self) -> str:
        by = f" by {self.creator}" if self.creator else ""
        licence = f" ({self.licence})" if self.licence else ""
        share = "under 1" if self.share < 0.01 else f"{100 * self.share:.0f}"
        return f"{self.name}{by}{licence}, {share} %"


class _Figures(msgspec.Struct, frozen=True):
    credits: tuple[Credit, ...] = ()


def credits(folder: JobFolder) -> tuple[str, ...]:
    """The lines of a job's metrics.json; none where there are no results, or of a prior that names no objects."""
    file = folder / "metrics.json"
    try:
        return tuple(credit.line() for credit in msgspec.json.decode(file.read_bytes(), type=_Figures).credits)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError):
        log.exception("the credits in %s cannot be read", file)
        return ("The credits of this result cannot be read: see the log of the backend.",)
