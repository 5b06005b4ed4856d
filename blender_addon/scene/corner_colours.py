"""The colours that a mesh shows, at the corners of its triangles; triangles with an image are subdivided first.

A splat has one colour, so an image needs no more points than there are splats: about POINTS on the whole selection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .blender_types import attribute_items
from .importers.splats import srgb
from .material_looks import ImageTexture, Look, active_colour, attribute_without_material, look_of

POINTS = 60_000  # on all triangles that have an image
FINEST = 64  # into how many parts an edge is divided at most
PLAIN = (231, 231, 231, 255)  # sRGB of Blender's default 0.8, for parts without a colour beside others that have one
CLIPPED = ("EXTEND", "CLIP")

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass
class Corners:
    """Colours (T,3,4) sRGB at the corners of a mesh's triangles; for those with an image its number, and UVs (T,3,2).

    `coloured` is false if nothing has a colour of its own; `pictures` is -1 for a triangle without an image.
    """

    colours: Bytes
    coloured: bool
    pictures: NDArray[np.int64]
    uvs: Floats
    notes: list[str] = field(default_factory=list)


class ImagePixels:
    """The pixels of images as one sees them; each image is read once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._pixels: list[tuple[Floats, bool]] = []

    def number(self, picture: ImageTexture) -> int | None:
        """The image's number for `colours`; None if its pixels cannot be read."""
        image, clipped = picture.node.image, picture.node.extension in CLIPPED
        key = image.name_full, picture.node.extension
        if key not in self._numbers:
            pixels = _pixels(image)
            if pixels is None:
                return None
            self._numbers[key] = len(self._pixels)
            self._pixels.append((pixels, clipped))
        return self._numbers[key]

    def colours(self, number: int, uvs: Floats, spacing: float) -> Bytes:
        """sRGB (N,4) at UVs (N,2), from the image averaged to pixels that are `spacing` of its side wide."""
        pixels, clipped = self._pixels[number]
        pixels = _averaged(pixels, max(1, int(spacing * max(pixels.shape[:2]))))
        size = np.array(pixels.shape[1::-1])
        at = np.floor(uvs * size).astype(np.int64)
        x, y = (np.clip(at, 0, size - 1) if clipped else at % size).T
        return _bytes(pixels[y, x])


def corner_colours(
    mesh: bpy.types.Mesh, materials: list[bpy.types.Material | None], name: str, pictures: ImagePixels
) -> Corners:
    """The colours of a mesh with these materials; its loop triangles must have been computed."""
    looks = [None if material is None else look_of(material) for material in materials]
    notes = [look.note for look in looks if look is not None and look.note]
    loops = read_property(mesh.loop_triangles, "loops", 3, np.int32)
    of_face = read_property(mesh.loop_triangles, "material_index", 1, np.int32)[:, 0]
    of_face = np.clip(of_face, 0, max(len(looks) - 1, 0))
    paint, left = attribute_without_material(mesh, looks)
    notes += [f"{name}: {left}"] if left else []
    found = Corners(np.empty((*loops.shape, 4), np.uint8), bool(any(looks)) or paint is not None,
                    np.full(len(loops), -1, np.int64), np.zeros((*loops.shape, 2), np.float32), notes)  # fmt: skip
    found.colours[:] = PLAIN
    for slot, look in enumerate(looks or [None]):
        rows = np.flatnonzero(of_face == slot)
        if len(rows):
            _colour_triangles(found, rows, loops[rows], mesh, look, paint, pictures)
    return found


def _colour_triangles(
    found: Corners, rows: NDArray[np.int64], loops: NDArray[np.int32], mesh: bpy.types.Mesh, look: Look | None,
    paint: str | None, pictures: ImagePixels,
) -> None:  # fmt: skip
    """Fill in the colours of those triangles (`rows`) that have the same look."""
    wanted = look.attribute if look is not None and look.attribute is not None else paint
    if wanted is not None:
        values = _attribute(mesh, wanted)
        if values is not None:
            found.colours[rows] = values[loops]
            return
        found.notes.append(f"the colour attribute {wanted} is not on every part, so the viewport's colour was taken.")
    if look is None:
        return
    found.colours[rows] = _bytes(np.append(srgb(np.array(look.colour[:3], np.float32)), 1.0))
    if look.picture is None:
        return
    uv, number = _uvs(mesh, look.picture), pictures.number(look.picture)
    if uv is None or number is None:
        image = look.picture.node.image.name
        why = "has no UVs on a part" if uv is None else "cannot be read"
        found.notes.append(f"the picture {image} {why}, so it is left out.")
        found.colours[rows] = PLAIN
        return
    found.uvs[rows], found.pictures[rows] = uv[loops], number


def _attribute(mesh: bpy.types.Mesh, name: str) -> Bytes | None:
    """sRGB (L,4) of each corner from the attribute of that name, or the active one for ""."""
    attribute = mesh.color_attributes.get(name) if name else active_colour(mesh)
    if attribute is None:
        return None
    values = read_property(attribute_items(attribute), "color_srgb", 4)
    if attribute.domain == "POINT":
        values = values[read_property(mesh.loops, "vertex_index", 1, np.int32)[:, 0]]
    return _bytes(values)


def _uvs(mesh: bpy.types.Mesh, picture: ImageTexture) -> Floats | None:
    """Where each corner lies on the image, (L,2)."""
    active = next((layer for layer in mesh.uv_layers if layer.active_render), None)
    layer = mesh.uv_layers.get(picture.uv) if picture.uv else active
    if layer is None:
        return None
    flat = read_property(layer.uv, "vector", 2)
    turn = np.array(picture.turn, np.float32)
    return flat @ turn[:2, :2].T + turn[:2, 3]


def _pixels(image: bpy.types.Image) -> Floats | None:
    """sRGB (H,W,4), the lowest row first; None if the image is empty or too large to be loaded."""
    width, height = image.size
    stored: Any = image.pixels  # a float in the stubs
    if not width or not height or len(stored) != width * height * image.channels or image.channels < 3:
        return None
    flat = np.empty(width * height * image.channels, np.float32)
    stored.foreach_get(flat)
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = flat.reshape(height, width, image.channels)[..., :3]
    space: Any = image.colorspace_settings  # its names come from a file, so the stubs know none
    if image.is_float or space.name != "sRGB":
        pixels[..., :3] = srgb(pixels[..., :3])
    return pixels


def _averaged(pixels: Floats, factor: int) -> Floats:
    """The mean of each block of `factor` x `factor` pixels; blocks at the far borders are smaller."""
    for axis in (0, 1):
        starts = np.arange(0, pixels.shape[axis], factor)
        sizes = np.minimum(factor, pixels.shape[axis] - starts)
        shape = [1, 1, 1]
        shape[axis] = -1
        pixels = np.add.reduceat(pixels, starts, axis=axis) / sizes.reshape(shape).astype(np.float32)
    return pixels


def _bytes(values: NDArray[np.float32]) -> Bytes:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def read_property(
    collection: bpy.types.bpy_prop_collection[Any], name: str, width: int, kind: type[np.generic] = np.float32
) -> NDArray[Any]:
    """One property of all items of a collection, (N,width)."""
    values: NDArray[Any] = np.empty(len(collection) * width, kind)
    collection.foreach_get(name, values)
    return values.reshape(-1, width)


def subdivided(
    places: NDArray[np.float64], found: Corners, pictures: ImagePixels, spacing: float
) -> tuple[NDArray[np.float64], Bytes]:
    """Triangles (T,3,3) with their colours (T,3,4); those with images are cut into parts about `spacing` wide."""
    plain = found.pictures < 0
    all_places, all_colours = [places[plain]], [found.colours[plain]]
    longest = np.linalg.norm(places - np.roll(places, 1, axis=1), axis=2).max(1)
    parts = np.clip(np.ceil(longest / spacing), 1, FINEST).astype(np.int64)
    for number in np.unique(found.pictures[~plain]):
        for count in np.unique(parts[found.pictures == number]):
            rows = np.flatnonzero((found.pictures == number) & (parts == count))
            shares, corners = _grid(int(count))
            cut = np.einsum("pk,tkc->tpc", shares, places[rows])
            uvs = np.einsum("pk,tkc->tpc", shares, found.uvs[rows])
            edges = np.linalg.norm(found.uvs[rows] - np.roll(found.uvs[rows], 1, axis=1), axis=2)
            width = float(np.median(edges) / count)
            colours = pictures.colours(int(number), uvs.reshape(-1, 2), width).reshape(*uvs.shape[:2], 4)
            all_places.append(cut[:, corners].reshape(-1, 3, 3))
            all_colours.append(colours[:, corners].reshape(-1, 3, 4))
    return np.concatenate(all_places), np.concatenate(all_colours)


def _grid(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A triangle cut into count² parts: the points' barycentric coordinates (P,3), and the parts' points (count²,3)."""
    index: dict[tuple[int, int], int] = {}
    for i in range(count + 1):
        for j in range(count + 1 - i):
            index[i, j] = len(index)
    shares = np.array([((count - i - j) / count, i / count, j / count) for i, j in index])
    up = [(index[i, j], index[i + 1, j], index[i, j + 1]) for i, j in index if i + j < count]
    down = [(index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]) for i, j in index if i + j < count - 1]
    return shares, np.array(up + down)
