"""What the judge makes of real renders: the yardstick for agreement, as no picture of 64 pixels convinces it wholly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape

from backend.errors import UserError
from backend.evaluate.classes import classes_of
from backend.evaluate.judge import Judge
from backend.evaluate.results import GREY, agreement
from backend.training.views import Views

MOST = 240  # views of a prompt's things


console = Console(stderr=True, highlight=False)


class Real:
    """The views of a data folder, by what they show.  UserError where it is no such folder."""

    def __init__(self, folder: Path) -> None:
        try:
            self.views = Views(folder)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"real: {folder} holds no packed views ({error}).") from error

    def agreement(self, prompt: str, judge: Judge) -> float | None:
        """As `results.agreement`, over views of all things that go by the prompt's last word; None without any.

        Colours are not asked for: the judge does not name them.
        """
        word = prompt.lower().partition(",")[0].split()[-1:]
        things = [thing for thing in self.views.things if word and word[0] in (thing.kind, thing.name.split()[-1])]
        rows = [index for thing in things for index in range(thing.first, thing.first + thing.views)]
        classes = classes_of(prompt)
        if not rows or not classes:
            return None
        chosen = np.random.default_rng(0).permutation(rows)[:MOST]
        rgba = torch.from_numpy(self.views.rgba[np.sort(chosen)]).float() / 255
        pictures = rgba[..., :3] * rgba[..., 3:] + GREY * (1 - rgba[..., 3:])
        return agreement(judge.probabilities(judge.features(pictures)), classes)


def real_views(folder: Path | None) -> Real | None:
    """Those of the folder; where it is no such folder, a sentence and None."""
    try:
        return None if folder is None else Real(folder)
    except UserError as error:
        console.print(f"[yellow]Left out:[/] {escape(str(error))}", soft_wrap=True)
        return None
