"""Reads Debian's `sweethome3d-furniture`: five catalogues of OBJ files, CC0 and CC-BY 3.0.

The package is fetched with apt-get and unpacked without being installed.  A catalogue is a zip (`.sh3f`) of models
and a Java properties file, `name#7=Armchair` and so on, that names them.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "sweethome3d-furniture"
LISTING = "PluginFurnitureCatalog.properties"
# The copyright file of the package, by catalogue.
LICENCES = {
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Reallusion": "CC-BY-3.0-US",
    "Scopia": "CC-BY-3.0",
}
# Parts of buildings, ground markings, and three dozen boxes on a wall.
EXCLUDED = re.compile(
    r"\b(plug|socket|switch|intercom|arrow|parking slot|crossing|rails|railing|entry|elevator|escalator)\b",
    re.IGNORECASE,
)
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True)
class Model:
    """One entry of a catalogue; `rotation` is the 3x3 matrix, row by row in Y-up, that turns it upright, or ""."""

    catalogue: str
    name: str
    category: str
    creator: str
    path: str
    rotation: str

    @property
    def source(self) -> str:
        return f"{PACKAGE}/{self.catalogue}/{self.path}"

    @property
    def licence(self) -> str:
        return LICENCES[self.catalogue]


def parse_properties(text: str) -> dict[str, str]:
    r"""A Java properties file: comments, `key=value`, lines continued by a backslash, escapes such as \u20ac."""
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", text)
    pairs = re.findall(r"^[ \t\f]*([^#!=:\s][^=:\s]*)[ \t\f]*[=: \t\f]?[ \t\f]*(.*?)\r?$", joined, re.MULTILINE)
    return {key: re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescape, value) for key, value in pairs}


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else ESCAPES.get(code, code)


def models_of(catalogue: str, properties: dict[str, str]) -> list[Model]:
    """The models of a catalogue that are separate objects: no doors, windows, stairs, wall plugs."""
    found = []
    for key, path in properties.items():
        if not key.startswith("model#"):
            continue
        name, category, door, creator, rotation = (
            properties.get(f"{field}#{key[6:]}", "")
            for field in ("name", "category", "doorOrWindow", "creator", "modelRotation")
        )
        building = door == "true" or category in ("Doors and windows", "Staircases")
        if name and not building and not EXCLUDED.search(name):
            found.append(Model(catalogue, name, category, creator, path.lstrip("/"), rotation))
    return found


def fetch(folder: Path) -> Path:
    """The folder of the five unpacked catalogues; fetched from Debian the first time."""
    catalogues = folder / "catalogues"
    if catalogues.exists():
        return catalogues
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
    [package] = folder.glob(f"{PACKAGE}_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "package"], check=True)
    half = folder / "catalogues.half"
    for file in sorted((folder / "package").rglob("*.sh3f")):
        with zipfile.ZipFile(file) as zipped:
            zipped.extractall(half / file.stem)
    return half.rename(catalogues)


def models(catalogues: Path) -> list[Model]:
    """All models to be photographed, in the order of the catalogues."""
    found = []
    for listing in sorted(catalogues.glob(f"*/{LISTING}")):
        found += models_of(listing.parent.name, parse_properties(listing.read_text(encoding="latin-1")))
    return found
