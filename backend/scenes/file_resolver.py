"""Finds the files that a mesh file refers to, pictures and material files, however their names are written.

Exporters write `My%20Wood.png`, `..\\textures\\Wood.PNG`, or the path of another machine; MTL files have options before
the name.  trimesh uses names as they are written, so they are simplified before it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from trimesh.resolvers import FilePathResolver

UV = "splatsmith_uv"  # a line added to MTL files: scale and offset of a picture, four numbers
WORDS = {"mm": 2}  # number of arguments of an option; all others have one
NUMBERS = r"(?:\s+[-+]?[.\d][-+.\deE]*){1,3}"
OPTION = re.compile(rf"-(?:(?P<name>[ost])(?P<numbers>{NUMBERS})|(?P<other>[a-zA-Z]+)(?P<words>\s+\S+(?:\s+\S+)?))\s+")


class FileResolver(FilePathResolver):  # type: ignore[misc]
    """Finds files beside a mesh; `materials` and `pictures` are those of its MTL files."""

    def __init__(self, source: Path) -> None:
        super().__init__(str(source), allow_anywhere=True)
        self.folder = source.resolve().parent
        self.pictures: dict[str, str] = {}
        self.materials: set[str] = set()

    def get(self, name: str) -> bytes:
        """A file's content, simplified for trimesh if it is an MTL file; FileNotFoundError if there is none."""
        found = find(self.folder, name)
        if found is not None:
            content = found.read_bytes()
            return self._simplified(content) if found.suffix.lower() == ".mtl" else content
        several = re.findall(r"\S.*?\.mtl\b", name, re.IGNORECASE)
        if len(several) < 2:
            raise FileNotFoundError(name)
        return b"\n".join(self.get(one) for one in several if find(self.folder, one))

    def _simplified(self, content: bytes) -> bytes:
        """An MTL file without options before its pictures' names; those for UVs are in a line of their own."""
        lines, material = [], ""
        for line in content.decode("utf-8", errors="replace").splitlines():
            key, _, rest = line.strip().partition(" ")
            if key.lower() == "newmtl":
                material = " ".join(rest.split())
                self.materials.add(material)
            if key.lower() == "map_kd":
                name, scale, offset = map_kd(rest)
                self.pictures[material] = name
                lines += [f"map_Kd {name}", f"{UV} {scale[0]} {scale[1]} {offset[0]} {offset[1]}"]
            else:
                lines.append(line)
        return "\n".join(lines).encode()


def map_kd(text: str) -> tuple[str, tuple[float, float], tuple[float, float]]:
    """Parse the rest of an MTL file's `map_Kd` line: the picture's name, and the scale and offset of its UVs."""
    text, transforms = text.replace("\t", " ").strip(), {"s": [1.0, 1.0], "o": [0.0, 0.0]}
    while option := OPTION.match(text):
        end = option.end()
        if option["name"] in transforms:
            values = [float(value) for value in option["numbers"].split()][:2]
            transforms[option["name"]][: len(values)] = values
        elif option["other"]:
            taken = option["words"].split()[: WORDS.get(option["other"].lower(), 1)]
            end = option.start("words") + re.match(r"\s+".join(["", *map(re.escape, taken)]), option["words"]).end()  # type: ignore[union-attr]
        text = text[end:].lstrip()
    return text.strip('"'), (transforms["s"][0], transforms["s"][1]), (transforms["o"][0], transforms["o"][1])


def find(folder: Path, name: str) -> Path | None:
    """The file for a name: as written, with %20 and backslashes decoded, in any case, or by its last part."""
    for written in dict.fromkeys((name.strip().strip('"'), unquote(name.strip().strip('"')))):
        for path in _candidates(written):
            found = _in_any_case(folder, path)
            if found is not None:
                return found
    return None


def _candidates(written: str) -> Iterator[str]:
    yield written
    plain = written.replace("\\", "/")
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
