"""PLY files of meshes and points: polygons of any size, colours of every kind, UVs of vertices or of corners.

trimesh only reads lists of one length, and drops the colours of meshes with UVs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.scenes.mesh_colours import COLOUR
from backend.scenes.mesh_pictures import open_picture

KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
INDICES = ("vertex_indices", "vertex_index")
UVS = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
HEADER_LIMIT = 1 << 16

Columns = dict[str, NDArray[Any]]


@dataclass
class Element:
    """A PLY element of `count` rows; for each property its type, and for lists also the type of the length."""

    count: int
    properties: dict[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Rows:
    """An element's columns and where it ends.  Lists are concatenated; "#name" has the length in each row."""

    columns: Columns
    end: int


class Body:
    """The numbers after the header, by position: of a byte, or of a word in ASCII files."""

    def __init__(self, content: bytes, form: str) -> None:
        self.order = ">" if "big" in form else "<"
        self.text = np.array(content.split(), np.float64) if "ascii" in form else None
        self.content = content
        self.bytes = np.frombuffer(content, np.uint8)

    def size(self, kind: str) -> int:
        return 1 if self.text is not None else int(kind[1])

    def length(self, place: int, kind: str) -> int:
        """The length of a list."""
        if self.text is not None:
            return int(self.text[place])
        if kind == "u1":
            return self.content[place]
        return int(np.frombuffer(self.content, self.order + kind, 1, place)[0])

    def values(self, places: NDArray[np.int64], kind: str) -> NDArray[Any]:
        """The numbers at these positions."""
        if self.text is not None:
            return self.text[places].astype(kind)
        parts = self.bytes[places[:, None] + np.arange(int(kind[1]))]
        return np.ascontiguousarray(parts).view(self.order + kind).reshape(-1).astype(kind)


def load_ply(path: Path, resolver: Any, notes: list[str]) -> Any:
    """A mesh, or a point cloud if there are no faces.  Raises ValueError and others where the file is damaged."""
    content = path.read_bytes()
    head, mark, body = content.partition(b"end_header")
    lines = head[:HEADER_LIMIT].decode("utf-8", errors="replace").splitlines()
    if not mark or not lines or lines[0].strip() != "ply":
        raise ValueError("it has no PLY header")
    form, elements = _elements(lines)
    numbers = Body(body[body.index(b"\n") + 1 :], form)
    found, place = {}, 0
    for name, element in elements.items():
        rows = _rows(numbers, element, place)
        found[name], place = rows.columns, rows.end
    return _shaped(found.get("vertex", {}), found.get("face", {}), _picture(lines, path, resolver, notes))


def _elements(lines: list[str]) -> tuple[str, dict[str, Element]]:
    form, elements = "", {}
    for words in (line.split() for line in lines):
        match words:
            case ["format", form, _]:
                pass
            case ["element", name, count]:
                elements[name] = Element(int(count), {})
            case ["property", "list", length, kind, name]:
                list(elements.values())[-1].properties[name] = KINDS[kind], KINDS[length]
            case ["property", kind, name]:
                list(elements.values())[-1].properties[name] = KINDS[kind], None
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError("its format is unknown")
    return form, elements


def _rows(body: Body, element: Element, place: int) -> Rows:
    """Read an element that begins at a position."""
    if any(length for _, length in element.properties.values()):
        starts, lengths, end = _walk(body, element, place)
    else:
        width = sum(body.size(kind) for kind, _ in element.properties.values())
        end, lengths = place + width * element.count, {}
        total = len(body.bytes) if body.text is None else len(body.text)
        if end > total:
            raise ValueError("it is truncated")
        starts = np.arange(element.count, dtype=np.int64) * width + place
    columns: Columns = {}
    at = starts
    for name, (kind, length) in element.properties.items():
        if length is None:
            columns[name], at = body.values(at, kind), at + body.size(kind)
            continue
        many, size = lengths[name], body.size(kind)
        at = at + body.size(length)
        columns[name] = body.values(np.repeat(at, many) + size * _within(many), kind)
        columns[f"#{name}"], at = many, at + size * many
    return Rows(columns, end)


def _walk(body: Body, element: Element, place: int) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]], int]:
    """The start of each row, the lengths of its lists, and the end of the last row."""
    steps = [(name, body.size(kind), length, body.size(length or "u1")) for name, (kind, length) in
             element.properties.items()]  # fmt: skip
    starts: list[int] = []
    lengths: dict[str, list[int]] = {name: [] for name, _, length, _ in steps if length}
    for _ in range(element.count):
        starts.append(place)
        for name, size, length, before in steps:
            if length is None:
                place += size
                continue
            many = body.length(place, length)
            if many < 0:
                raise ValueError("it has a list of negative length")
            lengths[name].append(many)
            place += before + many * size
    return np.array(starts, np.int64), {name: np.array(many, np.int64) for name, many in lengths.items()}, place


def _within(many: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... up to each of these counts."""
    return np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)


def _shaped(vertex: Columns, face: Columns, picture: Any) -> Any:
    import trimesh

    vertices = np.stack([vertex[axis] for axis in "xyz"], 1).astype(np.float64)
    painted = _colours(vertex)
    index = next((name for name in INDICES if name in face), None)
    if index is None or not len(face[index]):
        colours = None if painted is None else np.rint(painted * 255).astype(np.uint8)
        return trimesh.PointCloud(vertices, colours)
    many = face[f"#{index}"]
    # A fan of triangles: a polygon's first corner with each pair of successive others.
    polygon = np.repeat(np.arange(len(many)), np.maximum(many - 2, 0))
    first, turn = (np.cumsum(many) - many)[polygon], _within(np.maximum(many - 2, 0))
    corners = np.stack([first, first + turn + 1, first + turn + 2], 1)
    faces = face[index].astype(np.int64)[corners]
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("it has faces with vertices that do not exist")
    uv = next((np.stack([vertex[u], vertex[v]], 1) for u, v in UVS if u in vertex and v in vertex), None)
    if "texcoord" in face and (face["#texcoord"] == 2 * many).all():
        of_corner = face["texcoord"].reshape(-1, 2)
        vertices, painted = vertices[faces.ravel()], None if painted is None else painted[faces.ravel()]
        uv, faces = of_corner[corners.ravel()], np.arange(faces.size).reshape(-1, 3)
    of_face = _colours(face)
    given: dict[str, Any] = {} if painted is None else {"vertex_attributes": {COLOUR: painted}}
    if uv is not None and picture is not None:
        given["visual"] = trimesh.visual.TextureVisuals(uv, image=picture)
    elif painted is None and of_face is not None:
        given["face_colors"] = np.rint(of_face[polygon] * 255).astype(np.uint8)
    return trimesh.Trimesh(vertices, faces, process=False, **given)


def _colours(columns: Columns) -> NDArray[np.float64] | None:
    """Colours (N,3) in [0,1], from any type of number."""
    for names in COLOURS:
        if all(name in columns for name in names):
            kind = columns[names[0]].dtype
            values: NDArray[np.float64] = np.stack([columns[name] for name in names], 1).astype(np.float64)
            most = np.iinfo(kind).max if kind.kind in "iu" else 255.0 if values.max(initial=0) > 1 else 1.0
            return np.clip(values / most, 0, 1)
    return None


def _picture(lines: list[str], path: Path, resolver: Any, notes: list[str]) -> Any:
    """The picture that a header comment names."""
    name = next((line.split(None, 2)[2] for line in lines if line.lower().startswith("comment texturefile ")), None)
    return None if name is None else open_picture(name, path, resolver, notes)
