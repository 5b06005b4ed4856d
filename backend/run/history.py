"""Splats of earlier steps of a run, small: what `view` shows along its timeline.

`history.safetensors` in the job's folder has at most KEPT moments, in the unit ball.  Each is rounded to 20 bytes a
splat: means and log_scales to half precision, quaternions and colours to bytes.  What varies with the direction of view
is left out, and of a moment with more than MOST_SPLATS the most visible are kept.  So the file has 21 MB at most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from backend.files import ExportError
from backend.render import SH_C0
from backend.run.events import StepDone
from backend.run.folder import HISTORY, JobFolder
from backend.scenes.base import Scene
from backend.scenes.splats import Splats

KEPT = 16  # moments
MOST_SPLATS = 1 << 16
MOST_COST = 0.05  # of the run's time may go into it
OPACITY = (0.5 / 255, 1 - 0.5 / 255)  # a byte of 0 or 255 has no logit


class Packed(NamedTuple):
    """N splats of one moment: means (N,3) float16, quats (N,4) int8, log_scales (N,3) float16, rgba (N,4) uint8."""

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    rgba: Tensor


PARTS = Packed._fields


class History:
    """Keeps the splats of a run that goes on, at moments spread evenly over its steps."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self._cost, self._ended = 0.0, -math.inf

    def due(self, event: StepDone) -> bool:
        """Whether the splats after this step are to be kept; those of the last step are in splats.ply."""
        spacing = math.ceil(event.of / KEPT)
        affordable = time.monotonic() - self._ended >= self._cost / MOST_COST
        return event.step < event.of and (event.step == 1 or event.step % spacing == 0) and affordable

    def keep(self, step: int, scene: Scene) -> None:
        """Add the splats of this step to the file."""
        began = time.monotonic()
        with torch.no_grad():
            packed = pack(scene.splats())
        moments = _read_all(self.folder / HISTORY) | {step: packed}
        kept = thinned(sorted(moments))
        parts = {_name(at, part): one for at in kept for part, one in moments[at]._asdict().items()}
        self.folder.save(parts, HISTORY)
        self._ended = time.monotonic()
        self._cost = self._ended - began


def kept_steps(file: Path) -> list[int]:
    """The steps in the file, in order; none where there is no such file.

    Raises ExportError where it cannot be read.
    """
    if not file.exists():
        return []
    with _reading(file) as stored:
        return _steps_in(stored)


def read_moment(file: Path, step: int) -> Splats:
    """The splats of one of the steps that are kept.  ExportError where they cannot be read."""
    with _reading(file) as stored:
        return unpack(_moment(stored, step))


def pack(splats: Splats) -> Packed:
    """The splats rounded, at most MOST_SPLATS of them."""
    if len(splats) > MOST_SPLATS:
        sizes = splats.log_scales.sort(1).values[:, 1:].sum(1).exp()  # of the ellipse that is seen at most
        chosen = (splats.opacity_logits.sigmoid() * sizes).topk(MOST_SPLATS).indices
        splats = splats.map(lambda values: values[chosen])
    rgba = torch.cat([splats.rgb, splats.opacity_logits.sigmoid()[:, None]], 1)
    quats = torch.nn.functional.normalize(splats.quats, dim=-1)
    packed = Packed(
        splats.means.half(),
        (quats * 127).round().to(torch.int8),
        splats.log_scales.clamp(-20, 10).half(),
        (rgba.clamp(0, 1) * 255).round().byte(),
    )
    return Packed(*(part.cpu().contiguous() for part in packed))


def unpack(packed: Packed) -> Splats:
    """The splats, with one harmonic."""
    rgba = packed.rgba.float() / 255
    quats = torch.nn.functional.normalize(packed.quats.float(), dim=-1)
    sh = ((rgba[:, :3] - 0.5) / SH_C0)[:, None]
    return Splats(packed.means.float(), quats, packed.log_scales.float(), rgba[:, 3].clamp(*OPACITY).logit(), sh)


def thinned(steps: list[int]) -> list[int]:
    """At most KEPT of the steps, which are in order: those go first that leave the smallest gap, the ends stay."""
    while len(steps) > KEPT:
        gaps = [after - before for before, after in zip(steps, steps[2:], strict=False)]
        steps = steps[: gaps.index(min(gaps)) + 1] + steps[gaps.index(min(gaps)) + 2 :]
    return steps


def _read_all(file: Path) -> dict[int, Packed]:
    """What the file has; nothing where it is missing or damaged, as the rest of the run may be kept all the same."""
    try:
        steps = kept_steps(file)
        with _reading(file) as stored:
            return {step: _moment(stored, step) for step in steps}
    except ExportError:
        return {}


@contextmanager
def _reading(file: Path) -> Iterator[Any]:
    """The open file; ExportError where it is missing or damaged."""
    try:
        with safe_open(file, "pt") as stored:
            yield stored
    except (OSError, SafetensorError, ValueError) as error:
        raise ExportError(f"{file} is damaged: delete it, as it only has earlier steps for `view`.") from error


def _steps_in(stored: Any) -> list[int]:
    return sorted({int(name.partition(".")[0]) for name in stored.keys()})  # noqa: SIM118


def _moment(stored: Any, step: int) -> Packed:
    return Packed(*(stored.get_tensor(_name(step, part)) for part in PARTS))


def _name(step: int, part: str) -> str:
    return f"{step:08d}.{part}"
