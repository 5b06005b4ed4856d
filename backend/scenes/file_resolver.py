"""What a mesh file names and lies beside it: pictures and material files, however their names are written.

Exporters write `My%20Wood.png`, `..\\textures\\Wood.PNG`, or the path of another machine; MTL files put options before
the name.  trimesh takes names as they stand, so they are made plain before it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from trimesh.resolvers import FilePathResolver

UV = "splatsmith_uv"  # a line that MTL files get: scale and offset of a picture, four numbers
WORDS = {"mm": 2}  # that an option takes; all others take one
NUMBERS = r"(?:\s+[-+]?[.\d][-+.\deE]*){1,3}"
OPTION = re.compile(rf"-(?:(?P<name>[ost])(?P<numbers>{NUMBERS})|(?P<other>[a-zA-Z]+)(?P<words>\s+\S+(?:\s+\S+)?))\s+")


class FileResolver(FilePathResolver):  # type: ignore[misc]
    """Finds files beside a mesh; `pictures` has what the materials of MTL files name, `materials` who they are."""

    def __init__(self, source: Path) -> None:
        super().__init__(str(source), allow_anywhere=True)
        self.folder = source.resolve().parent
        self.pictures: dict[str, str] = {}
        self.materials: set[str] = set()

    def get(self, name: str) -> bytes:
        """A file's content, of an MTL file as trimesh reads it; FileNotFoundError."""
        found = find(self.folder, name)
        if found is not None:
            content = found.read_bytes()
            return self._plain(content) if found.suffix.lower() == ".mtl" else content
        several = re.findall(r"\S.*?\.mtl\b", name, re.IGNORECASE)
        if len(several) < 2:
            raise FileNotFoundError(name)
        return b"\n".join(self.get(one) for one in several if find(self.folder, one))

    def _plain(self, content: bytes) -> bytes:
        """An MTL file without options before its pictures' names; what they say of UVs in a line of its own."""
        lines, material = [], ""
        for line in content.decode("utf-8", errors="replace").splitlines():
            key, _, rest = line.strip().partition(" ")
            if key.lower() == "newmtl":
                material = " ".join(rest.split())
                self.materials.add(material)
            if key.lower() == "map_kd":
                name, scale, offset = picture_of(rest)
                self.pictures[material] = name
                lines += [f"map_Kd {name}", f"{UV} {scale[0]} {scale[1]} {offset[0]} {offset[1]}"]
            else:
                lines.append(line)
        return "\n".join(lines).encode()


def picture_of(said: str) -> tuple[str, tuple[float, float], tuple[float, float]]:
    """The picture that an MTL line names after `map_Kd`, and the scale and offset of its UVs."""
    said, turns = said.replace("\t", " ").strip(), {"s": [1.0, 1.0], "o": [0.0, 0.0]}
    while option := OPTION.match(said):
        end = option.end()
        if option["name"] in turns:
            values = [float(value) for value in option["numbers"].split()][:2]
            turns[option["name"]][: len(values)] = values
        elif option["other"]:
            taken = option["words"].split()[: WORDS.get(option["other"].lower(), 1)]
            end = option.start("words") + re.match(r"\s+".join(["", *map(re.escape, taken)]), option["words"]).end()  # type: ignore[union-attr]
        said = said[end:].lstrip()
    return said.strip('"'), (turns["s"][0], turns["s"][1]), (turns["o"][0], turns["o"][1])


def find(folder: Path, name: str) -> Path | None:
    """The file that is meant by a name: as it stands, with %20 and backslashes read, in any case, or by its end."""
    for said in dict.fromkeys((name.strip().strip('"'), unquote(name.strip().strip('"')))):
        for path in _readings(said):
            found = _in_any_case(folder, path)
            if found is not None:
                return found
    return None


def _readings(said: str) -> Iterator[str]:
    yield said
    plain = said.replace("\\", "/")
    yield plain
    end = plain.rpartition("/")[2]
    yield from (end, f"textures/{end}", f"../textures/{end}")


def _in_any_case(folder: Path, path: str) -> Path | None:
    try:
        if (folder / path).is_file():
            return folder / path
        at = Path("/") if path.startswith("/") else folder
        for part in filter(None, path.split("/")):
            exact = at / part
            near = (entry for entry in sorted(at.iterdir()) if entry.name.lower() == part.lower())
            at = exact if exact.exists() else next(near, exact)
    except (OSError, ValueError):
        return None
    return at if at.is_file() else None
