"""The rendered views that the embedded prior learns from, as batches of pictures with captions and cameras.

A data folder holds `objects*.json` beside `views*.npz` (rgba (V,64,64,4) uint8 straight alpha; camera (V,3):
azimuth and elevation in degrees, distance factor), the layout that `prior_data/` writes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.training.captions import caption, clean_name, colour_shares, kind_of, view_word

Floats = NDArray[np.float32]
FACES_PLUS_X = "infinigen/"  # its generators build with the front at +X; the house's front is -Y
# Generated things that have a front at all; of a bowl "front view" would teach nothing.
HAS_FRONT = frozenset("chair,office chair,sofa,tv,monitor,fish,beetle,desk".split(","))


@dataclass(frozen=True)
class Thing:
    """One object: the range of its views and how it is called."""

    first: int
    views: int
    name: str
    has_front: bool


@dataclass(frozen=True)
class Batch:
    """images (B,3,64,64) in [-1,1]; cameras (B,3) degrees, degrees, factor; one caption each."""

    images: Floats
    cameras: Floats
    captions: list[str]


class Views:
    """All views of a data folder in memory, split into objects to learn from and objects held out."""

    def __init__(self, folder: Path, held_out: float = 0.05) -> None:
        self.rgba, self.cameras, self.things = _read(folder)
        kinds = [kind_of(thing.name) or thing.name for thing in self.things]
        count = Counter(kinds)
        rng = np.random.default_rng(0)
        spare = [i for i, kind in enumerate(kinds) if count[kind] > 3]
        chosen = set(rng.permutation(spare)[: round(held_out * len(self.things))].tolist())
        self.learn = [thing for i, thing in enumerate(self.things) if i not in chosen]
        self.held = [thing for i, thing in enumerate(self.things) if i in chosen]
        # A kind with many objects is seen more often than a rare one, but not in proportion.
        odds = np.array([count[kinds[i]] ** -0.5 for i in range(len(kinds)) if i not in chosen])
        self._odds = odds / odds.sum()

    def batch(self, size: int, rng: np.random.Generator, held: bool = False) -> Batch:
        """`size` views of objects drawn by their kind, mirrored, recoloured and set before a background at random."""
        things = self.held if held else self.learn
        picks = rng.choice(len(things), size, p=None if held else self._odds)
        rows = [self._view(things[int(i)], rng) for i in picks]
        return Batch(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]), [row[2] for row in rows])

    def _view(self, thing: Thing, rng: np.random.Generator) -> tuple[Floats, Floats, str]:
        index = thing.first + int(rng.integers(thing.views))
        picture = self.rgba[index].astype(np.float32) / 255
        camera = self.cameras[index].copy()
        if rng.random() < 0.5:
            picture, camera[0] = picture[:, ::-1], -camera[0]
        rgb, alpha = picture[..., :3], picture[..., 3:]
        recoloured = bool(rng.random() < 0.35)
        if recoloured:
            rgb = recolour(rgb, rng)
        shares = colour_shares(rgb.reshape(-1, 3), alpha.reshape(-1))
        view = view_word(float(camera[0]), float(camera[1])) if thing.has_front or camera[1] > 60 else None
        image = rgb * alpha + background(rng) * (1 - alpha)
        text = caption(thing.name, shares, view, recoloured, rng)
        return (image * 2 - 1).transpose(2, 0, 1).astype(np.float32), camera, text


def _read(folder: Path) -> tuple[NDArray[np.uint8], Floats, list[Thing]]:
    rgba, cameras, things, start = [], [], [], 0
    for listing in sorted(folder.glob("objects*.json")):
        for entry in json.loads(listing.read_text(encoding="utf-8")):
            name = clean_name(entry["name"])
            front = bool(entry["front_known"]) or name in HAS_FRONT
            things.append((start + entry["first"], entry["views"], name, front, entry["source"]))
        for file in sorted(folder.glob(listing.name.replace("objects", "views").replace(".json", "*.npz"))):
            with np.load(file) as data:
                rgba.append(data["rgba"])
                cameras.append(data["camera"].astype(np.float32))
        start = sum(map(len, cameras))
    if not things:
        raise FileNotFoundError(f"{folder} holds no objects*.json with views*.npz beside it")
    angles = np.concatenate(cameras)
    for first, views, _, _, source in things:
        if source.startswith(FACES_PLUS_X):
            angles[first : first + views, 0] -= 90
    return np.concatenate(rgba), angles, [Thing(*thing[:4]) for thing in things]


def recolour(rgb: Floats, rng: np.random.Generator) -> Floats:
    """Turn all hues by one angle, or dye the whole object in one colour: pictures (H,W,3) in [0,1]."""
    if rng.random() < 0.5:
        angle = rng.uniform(0.5, 2 * np.pi - 0.5)
        axis = np.full(3, 3**-0.5)
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
        return np.clip(rgb @ turn.T, 0, 1).astype(np.float32)
    light = rgb @ np.array([0.3, 0.59, 0.11])
    light = light / max(float(np.quantile(light, 0.98)), 0.2)
    dye = rng.uniform(0, 1, 3) ** 1.5
    dye = dye / max(float(dye.max()), 0.1) * rng.uniform(0.3, 1.0)
    return np.clip(light[..., None] * dye, 0, 1).astype(np.float32)


def background(rng: np.random.Generator) -> Floats:
    """White in 4 of 10 pictures, a grey in 3, any colour in 3: (3,) in [0,1]."""
    draw = rng.random()
    if draw < 0.4:
        return np.ones(3, np.float32)
    if draw < 0.7:
        return np.full(3, rng.random(), np.float32)
    return rng.random(3, np.float32)
