"""The page's three-dimensional half: results side by side, each with its name, and the floor below them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.view.gaussians import Gaussians

APART = 2.3  # between two results, each of which fills the unit ball
LONGEST_ROW = 4
ABOVE = 1.12  # the name's height
FLOOR = -1.02
FIELD_OF_VIEW = 0.75  # radians, up and down


@dataclass(frozen=True)
class Exhibit:
    """One result: `gaussians` is called where `version` is not the one that is drawn; None leaves what is there."""

    key: Hashable
    label: str
    version: Hashable
    gaussians: Callable[[], Gaussians | None]


@dataclass
class _Drawn:
    """What the page has of an exhibit."""

    name: str
    version: Hashable = None
    place: tuple[float, float, float] | None = None
    splats: Any = None
    label: Any = None


class Stage:
    """Draws exhibits into the scene of a viser server."""

    def __init__(self, server: Any) -> None:
        self.server, self._drawn, self._count, self._seen = server, dict[Hashable, _Drawn](), 0, 0
        server.scene.set_up_direction("+z")
        server.scene.add_grid(
            "/floor", 40.0, 40.0, cell_size=0.5, section_size=2.0, position=(0.0, 0.0, FLOOR),
            cell_color=(225, 225, 225), section_color=(205, 205, 205), fade_distance=30.0, shadow_opacity=0.0,
        )  # fmt: skip

    def show(self, exhibits: Sequence[Exhibit]) -> None:
        """Have these and no others on the page, in this order."""
        shown = {exhibit.key for exhibit in exhibits}
        with self.server.atomic():
            for key in [key for key in self._drawn if key not in shown]:
                _remove(self._drawn.pop(key))
            for exhibit, place in zip(exhibits, places(len(exhibits)), strict=True):
                self._draw(exhibit, place)
        if len(exhibits) != self._seen:
            self._seen = len(exhibits)
            self._look_at_all()

    def _draw(self, exhibit: Exhibit, place: tuple[float, float, float]) -> None:
        if exhibit.key not in self._drawn:
            self._count += 1
            self._drawn[exhibit.key] = _Drawn(f"/results/{self._count}")
        drawn, scene = self._drawn[exhibit.key], self.server.scene
        if drawn.version != exhibit.version:
            drawn.version = exhibit.version
            if (new := exhibit.gaussians()) is not None:
                parts = (new.centers, new.covariances, new.rgbs, new.opacities)
                if drawn.splats is None:
                    drawn.splats = scene.add_gaussian_splats(f"{drawn.name}/splats", *parts, position=place)
                else:  # in its place, as a new one flickers
                    drawn.splats.set_gaussians(*parts)
        x, y, z = place
        if drawn.label is None or (drawn.label.text, drawn.place) != (exhibit.label, place):
            drawn.label = scene.add_label(
                f"{drawn.name}/name", exhibit.label, position=(x, y, z + ABOVE), anchor="bottom-center"
            )
        if drawn.place != place and drawn.splats is not None:
            drawn.splats.position = place
        drawn.place = place

    def _look_at_all(self) -> None:
        """The camera of whoever opens the page next, and of those who have it open: from the front, a little above."""
        position, look_at = camera_for(self._seen)
        for camera in (self.server.initial_camera, *(one.camera for one in self.server.get_clients().values())):
            camera.fov, camera.position, camera.look_at = FIELD_OF_VIEW, position, look_at


def places(count: int) -> list[tuple[float, float, float]]:
    """Where so many results stand: in a row, or in rows one behind the other."""
    long = min(count, max(LONGEST_ROW, math.ceil(math.sqrt(count))))
    rows = range(0, count, long or 1)
    middle = APART * (len(rows) - 1) / 2
    return [
        (APART * (at - (min(long, count - first) - 1) / 2), APART * (first // long) - middle, 0.0)
        for first in rows
        for at in range(min(long, count - first))
    ]


def camera_for(count: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The place of a camera that sees so many results, and where it looks at."""
    all_ = places(count)
    wide = APART + 2 * max((x for x, _, _ in all_), default=0.0)
    near = min((y for _, y, _ in all_), default=0.0)
    distance = max(3.2, 0.95 * wide + 0.6)
    return (0.25 * distance, near - distance, 0.3 * distance), (0.0, 0.0, 0.0)


def _remove(drawn: _Drawn) -> None:
    for handle in (drawn.splats, drawn.label):
        if handle is not None:
            handle.remove()
