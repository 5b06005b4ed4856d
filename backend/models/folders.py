"""Where models lie besides the hub's cache: folders that the user added, and those of ComfyUI, A1111 and Forge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from backend.errors import UserError
from backend.files import data_folder, replacing
from backend.hub.layout import INDEX

FILE = "models.json"
# In the folder of such a program: checkpoints, LoRAs, and folders in diffusers' format.
INSIDE = (
    "models/checkpoints",
    "models/Stable-diffusion",
    "models/loras",
    "models/Lora",
    "models/diffusers",
)
EXTRA = "extra_model_paths.yaml"  # in it ComfyUI is told of other folders
EXTRA_KEYS = ("checkpoints", "loras", "diffusers")
PROGRAMS = ("ComfyUI", "Documents/ComfyUI", "stable-diffusion-webui", "stable-diffusion-webui-forge")  # in the home
DEEPEST = 4  # folders below one that is searched
SINGLE = (".safetensors", ".ckpt")


class FolderError(UserError):
    """A folder that cannot be added or removed: one sentence."""


class Folders(msgspec.Struct, frozen=True):
    """What models.json holds: the folders that the user added, as absolute paths."""

    folders: tuple[str, ...] = ()


def added_folders() -> tuple[str, ...]:
    """The folders that the user added.

    Raises:
        FolderError: the file with them is damaged.
    """
    file = data_folder() / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Folders).folders
    except FileNotFoundError:
        return ()
    except msgspec.DecodeError as error:
        raise FolderError(f"{file} is damaged ({error}): remove it, and add the folders again.") from error


def add_folder(folder: Path) -> None:
    """Remember a folder whose models are to be listed.  FolderError where it is none."""
    path = folder.expanduser().absolute()
    if not path.is_dir():
        what = "is a file: add the folder that it lies in" if path.exists() else "does not exist: check the path"
        raise FolderError(f"{path} {what}.")
    _write((*(known for known in added_folders() if known != str(path)), str(path)))


def remove_folder(folder: Path) -> None:
    """Forget an added folder; nothing in it is touched.  FolderError where it was not added."""
    path, known = str(folder.expanduser().absolute()), added_folders()
    if path not in known:
        raise FolderError(f"{path} was not added: the added folders are {', '.join(known) or 'none'}.")
    _write(tuple(other for other in known if other != path))


def _write(folders: tuple[str, ...]) -> None:
    file = data_folder() / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(Folders(folders))))


def program_folders() -> list[Path]:
    """The folders of ComfyUI, A1111 and Forge that are in the usual places."""
    return [folder for name in PROGRAMS if (folder := Path.home() / name).is_dir()]


def models_in(folder: Path) -> Iterator[Path]:
    """The models in a folder, without duplicates: folders in diffusers' format, and single files.

    In the folder of ComfyUI, A1111 or Forge only the places for models are searched, and those that it names.
    """
    inside = [path for name in INSIDE if (path := folder / name).is_dir()]
    places = [*inside, *_extra_places(folder)] or [folder]
    yield from dict.fromkeys(path for place in places for path in _walk(place))


def _walk(top: Path) -> Iterator[Path]:
    for name, below, files in os.walk(top, followlinks=True):
        here = Path(name)
        if INDEX in files:
            below.clear()
            yield here
            continue
        deep = len(here.relative_to(top).parts)
        below[:] = sorted(one for one in below if not one.startswith(".")) if deep < DEEPEST else []
        yield from (here / file for file in sorted(files) if file.lower().endswith(SINGLE))


def _extra_places(folder: Path) -> Iterator[Path]:
    """The folders that ComfyUI's own list of other folders names."""
    try:
        programs: Any = yaml.safe_load((folder / EXTRA).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return
    for program in programs.values() if isinstance(programs, dict) else ():
        if not isinstance(program, dict):
            continue
        base = folder / Path(str(program.get("base_path", "."))).expanduser()
        for key in EXTRA_KEYS:
            lines = str(program.get(key) or "").splitlines()
            yield from (path for line in lines if line.strip() and (path := base / line.strip()).is_dir())
