"""What a machine computes with: the digests of its program and of a prior, so that all machines of a run are alike."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from backend.priors.kit import INDEX, kit_folder
from shared import VERSION

BACKEND = Path(__file__).parents[1]
SOURCES = ("*.py", "*.cu", "*.safetensors")  # in `backend` and `shared`


@cache
def code_version() -> str:
    """The version with a digest of the sources, which is the same on every system."""
    digest = sha256()
    for root in (BACKEND, BACKEND.parent / "shared"):
        for path in sorted(path for kind in SOURCES for path in root.rglob(kind)):
            content = path.read_bytes()
            digest.update(path.relative_to(root.parent).as_posix().encode())
            digest.update(content.replace(b"\r\n", b"\n") if path.suffix != ".safetensors" else content)
    return f"{VERSION}-{digest.hexdigest()[:12]}"


def prior_version(name: str) -> str:
    """A digest of a prior's files: of a kit its index, of a model the names and sizes.  "" for what is not here."""
    kit = kit_folder(name)
    if kit is not None:
        return sha256((kit / INDEX).read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:12]
    path = Path(name).expanduser()
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    sizes = [f"{file.relative_to(path.parent).as_posix()} {file.stat().st_size}" for file in files if file.is_file()]
    return sha256("\n".join(sizes).encode()).hexdigest()[:12] if sizes else ""
