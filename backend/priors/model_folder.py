"""The folder of a model in diffusers' format: one that is named, one in the hub's cache, or one that is downloaded."""

from __future__ import annotations

from pathlib import Path

from backend.hub.bar import shown
from backend.hub.download import cached, download
from backend.hub.layout import INDEX, ModelError, pipeline_of
from backend.priors.base import PriorError


def find_model(model: str | Path) -> tuple[Path, str]:
    """The folder of a model, downloaded if need be, and the name of its pipeline class.

    Raises:
        PriorError: no such model, or one of another kind.
    """
    path = Path(model).expanduser()
    if path.is_file():
        raise PriorError(
            f'prior "{model}" is a file: convert it to a folder with diffusers, '
            f"StableDiffusionPipeline.from_single_file({str(model)!r}).save_pretrained(FOLDER), and pass that folder"
        )
    if path.is_dir() and not (path / INDEX).is_file():
        raise PriorError(f'prior "{model}" is not a diffusers folder: pass the folder that has {INDEX}')
    if not path.is_dir() and not is_hub_id(model):
        raise PriorError(f'prior "{model}" does not exist: pass the folder of a diffusers model, or its hub id')
    try:
        folder = path if path.is_dir() else cached(str(model)) or shown(download(str(model)), str(model))
        return folder, pipeline_of(model, folder / INDEX)[0]
    except ModelError as error:
        raise PriorError(f"prior {error}") from error


def is_hub_id(model: str | Path) -> bool:
    """Whether a prior's name is that of a model on the hub, and of nothing on this machine."""
    path = Path(model).expanduser()
    named_as_path = isinstance(model, Path) or path.is_absolute() or model.startswith((".", "~"))
    return not (named_as_path or path.exists())
