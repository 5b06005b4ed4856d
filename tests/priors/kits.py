"""A kit of eight simple things, made of boxes and balls that numpy ray-casts from the grid: no renderer is asked.

Every face of a box has a light of its own, so that views tell where they are from.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from backend.priors.catalogue import Catalogue
from backend.priors.grid import SIDE, grid_cameras
from backend.priors.kit import SHIPPED, Kit, KitObject, new_index, write_atlas, write_index
from backend.priors.words import WordTable

LIGHT = np.array([[0.6, 0.7], [1.0, 0.4], [0.5, 0.95]])  # of a box's faces: -X +X, -Y (front) +Y (back), -Z +Z
FAR = 1e9
CAST = SIDE // 2  # pixels a side that are cast; each is four of the picture's


@dataclass(frozen=True)
class Box:
    """Axis-aligned, from `low` to `high`."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: tuple[float, float, float]

    def cast(self, eye, rays):
        """Distance (P,), FAR where a ray (P,3) from eye (3,) misses; colour (P,3)."""
        with np.errstate(divide="ignore"):
            at = (np.array([self.low, self.high])[:, None] - eye) / rays
        near, far = at.min(0), at.max(0)
        axis, enter = near.argmax(1), near.max(1)
        towards = rays[np.arange(len(rays)), axis] < 0  # hits the higher face
        light = LIGHT[axis, towards.astype(int)]
        return np.where(enter < far.min(1), enter, FAR), light[:, None] * self.colour


@dataclass(frozen=True)
class Ball:
    """Of a radius around a centre, brighter above and in front."""

    centre: tuple[float, float, float]
    radius: float
    colour: tuple[float, float, float]

    def cast(self, eye, rays):
        """As `Box.cast`; rays are of length 1."""
        towards = np.subtract(self.centre, eye)
        along = rays @ towards
        inside = self.radius**2 - (towards @ towards - along**2)
        distance = along - np.sqrt(np.maximum(inside, 0))
        normal = (eye + distance[:, None] * rays - self.centre) / self.radius
        light = 0.7 + 0.2 * normal[:, 2] - 0.1 * normal[:, 1]
        return np.where(inside > 0, distance, FAR), light[:, None] * self.colour


BROWN, RED, BLUE, GREEN, YELLOW = (
    (0.55, 0.35, 0.2),
    (0.85, 0.1, 0.1),
    (0.15, 0.25, 0.8),
    (0.2, 0.6, 0.2),
    (0.9, 0.8, 0.2),
)
LEGS = [(x, y) for x in (-0.4, 0.3) for y in (-0.4, 0.3)]


def _legs(colour, top, ends=LEGS):
    return [Box((x, y, -0.7), (x + 0.1, y + 0.1, top), colour) for x, y in ends]


THINGS = {
    "Wooden chair": [
        Box((-0.4, -0.4, -0.1), (0.4, 0.4, 0.0), BROWN),
        Box((-0.4, 0.3, 0), (0.4, 0.4, 0.8), BROWN),
        *_legs(BROWN, -0.1),
    ],
    "Red chair": [Box((-0.5, -0.4, -0.6), (0.5, 0.5, 0.0), RED), Box((-0.5, 0.3, 0), (0.5, 0.5, 0.5), RED)],
    "Office chair": [
        Box((-0.4, -0.4, 0.0), (0.4, 0.4, 0.15), BLUE),
        Box((-0.3, 0.25, 0.15), (0.3, 0.4, 0.8), BLUE),
        Box((-0.06, -0.06, -0.6), (0.06, 0.06, 0), BLUE),
        Box((-0.4, -0.4, -0.7), (0.4, 0.4, -0.6), BLUE),
    ],
    "Garden chair": [
        Box((-0.5, -0.3, -0.2), (0.5, 0.3, -0.1), GREEN),
        Box((-0.5, 0.2, -0.1), (0.5, 0.3, 0.6), GREEN),
        *_legs(GREEN, -0.2, [(-0.5, -0.3), (0.4, -0.3), (-0.5, 0.2), (0.4, 0.2)]),
    ],
    "Apple": [Ball((0, 0, 0), 0.75, RED)],
    "Vase": [Box((-0.3, -0.3, -0.7), (0.3, 0.3, 0.3), BLUE), Ball((0, 0, 0.5), 0.3, BLUE)],
    "Sofa": [Box((-0.9, -0.3, -0.4), (0.9, 0.35, 0.0), GREEN), Box((-0.9, 0.15, 0), (0.9, 0.35, 0.4), GREEN)],
    "Desk lamp": [Box((-0.05, -0.05, -0.7), (0.05, 0.05, 0.3), YELLOW), Ball((0, 0, 0.5), 0.35, YELLOW)],
}
NAMES = tuple(THINGS)


@cache
def views(name):
    """The pictures (48,128,128,4) of a thing, uint8 with straight alpha."""
    cameras = grid_cameras()
    turns = cameras.viewmats[:, :3, :3].numpy().astype(float)
    focal = float(cameras.intrinsics(CAST, CAST)[0, 0, 0])
    place = (np.arange(CAST) + 0.5 - CAST / 2) / focal
    x, y = np.meshgrid(place, place)
    rays = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    eyes = cameras.positions.numpy().astype(float)
    return np.stack([_picture(THINGS[name], eye, rays @ turn) for eye, turn in zip(eyes, turns, strict=True)])


def _picture(parts, eye, rays):
    distances, colours = (np.stack(found) for found in zip(*(part.cast(eye, rays) for part in parts), strict=True))
    nearest = distances.argmin(0)[None]
    colour = np.take_along_axis(colours, nearest[..., None], 0)[0]
    seen = np.take_along_axis(distances, nearest, 0)[0] < FAR
    colour[~seen] = colour[seen].mean(0)
    rgba = np.concatenate([colour, seen[:, None]], 1)
    return (255 * rgba.clip(0, 1)).round().astype(np.uint8).reshape(CAST, CAST, 4).repeat(2, 0).repeat(2, 1)


def kit_object(number, name):
    """What the index says of a thing."""
    colour = THINGS[name][0].colour
    who = {"licence": "CC-BY 3.0", "creator": f"Creator {number}", "title": f"Thing {number}"}
    return KitObject(file=f"{number:04}.webp", name=name, source=f"test/{number}", colour=colour, **who)


def make_small_kit(folder: Path, names=NAMES) -> Path:
    """Write a kit of these things into a new folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        write_atlas(views(name), folder / f"{number:04}.webp")
    write_index(new_index("small", [kit_object(number, name) for number, name in enumerate(names)]), folder)
    return folder


def small_catalogue(folder: Path, names=NAMES) -> Catalogue:
    """The same, open."""
    return Catalogue(Kit(make_small_kit(folder, names)), WordTable.load(SHIPPED))
