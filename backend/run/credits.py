"""The authors of the objects a result is made of, a line for each: "Oak chair by Scopia (CC-BY-3.0), 61 %"."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from backend.priors import authors
from backend.priors.authors import Credit
from backend.priors.base import Prior
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import SIDE
from backend.run.folder import JobFolder
from backend.scenes.splats import Splats, render_splats

VIEWS_AT_ONCE = 8

log = logging.getLogger(__name__)


def credit_line(credit: Credit) -> str:
    """One object with its creator, licence and share."""
    by = f" by {credit.creator}" if credit.creator else ""
    licence = f" ({credit.licence})" if credit.licence else ""
    share = "under 1" if credit.share < 0.01 else f"{100 * credit.share:.0f}"
    return f"{credit.title or credit.name}{by}{licence}, {share} %"


def start_line(credit: Credit) -> str:
    """One object of which the start was made, from which the run went on with another prior."""
    return f"Started from {credit_line(credit)}"


def copyright_of(found: Sequence[Credit], started_from: Sequence[Credit] = ()) -> str:
    """All lines in one, for a file's metadata."""
    made = "Made of parts of: " + "; ".join(map(credit_line, found)) if found else ""
    start = "Started from: " + "; ".join(map(credit_line, started_from)) if started_from else ""
    return ". ".join(filter(None, (made, start)))


def credits_of(prior: Prior, splats: Splats) -> list[Credit]:
    """The objects that the splats are made of, the largest share first; empty where the prior is not a kit."""
    return authors.credits(prior, encoded_views(prior, splats)) if isinstance(prior, CataloguePrior) else []


@torch.no_grad()
def encoded_views(prior: CataloguePrior, splats: Splats, side: int = SIDE) -> Tensor:
    """x (48,4,side,side): the splats from each camera of the grid, encoded."""
    splats, views = splats.map(lambda value: value.to(prior.device)), []
    for rows in torch.split(torch.arange(len(prior.grid)), VIEWS_AT_ONCE):
        render = render_splats(splats, prior.grid[rows], side, side, torch.full((len(rows), 3), 0.5))
        views.append(prior.encode(render.picture(prior.channels)))
    return torch.cat(views)


class _StartedFrom(msgspec.Struct, frozen=True):
    credits: tuple[Credit, ...] = ()


class _Metrics(msgspec.Struct, frozen=True):
    credits: tuple[Credit, ...] = ()
    started_from: _StartedFrom = _StartedFrom()


def credits_in(started_from: dict[str, Any] | None) -> tuple[Credit, ...]:
    """The objects that a start was made of."""
    return msgspec.convert(started_from or {}, _StartedFrom).credits


def credits(folder: JobFolder) -> tuple[str, ...]:
    """The credit lines of a job's metrics.json; empty without results, or where the prior names no objects."""
    file = folder / "metrics.json"
    try:
        known = msgspec.json.decode(file.read_bytes(), type=_Metrics)
        return (*map(credit_line, known.credits), *map(start_line, known.started_from.credits))
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError):
        log.exception("the credits in %s cannot be read", file)
        return ("The credits of this result cannot be read: see the backend's log.",)
